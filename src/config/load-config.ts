import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { join, resolve } from 'node:path'
import { EmrError } from '../errors.js'
import { type NetworkParameters, paperNetwork, parseNetworkFile } from '../protocol/network-parameters.js'
import { type TLocalizedValidationError, Value } from '../typebox.js'
import { DEFAULT_OPTIONS, defaultDataFolder, type NodeConfig, NodeOptions, PartialNodeOptions } from './node-config.js'

/**
 * The configuration of a node: flags win over the environment, the environment over the file, the
 * file over the defaults. Paths come back absolute, seen from the folder that the program was started in.
 *
 * @param flags what the command line says, already of the right types
 * @param environment EMRCHAIN_* variables are read, others are not looked at
 * @param file a JSON file, from `--config` or EMRCHAIN_CONFIG
 * @throws EmrError `config_invalid`
 */
export function loadConfig(
  flags: PartialNodeOptions,
  environment: Readonly<Record<string, string | undefined>>,
  file = environment.EMRCHAIN_CONFIG,
): NodeConfig {
  const fromFile = file === undefined ? {} : checked(readJson(file), file)
  const fromEnvironment = checked(optionsFromEnvironment(environment), 'environment', variableOf)
  const merged = { ...DEFAULT_OPTIONS, ...fromFile, ...fromEnvironment, ...checked(flags, 'command line') }
  const data = resolve(merged.data ?? defaultDataFolder(merged.port))
  assertReachable(merged)
  return {
    ...merged,
    peer: [...merged.peer],
    allowPeer: [...merged.allowPeer],
    data,
    ...(merged.tlsCert === undefined ? {} : { tlsCert: resolve(merged.tlsCert) }),
    ...(merged.tlsKey === undefined ? {} : { tlsKey: resolve(merged.tlsKey) }),
    ...(merged.tlsCa === undefined ? {} : { tlsCa: resolve(merged.tlsCa) }),
    network: merged.network === 'paper' ? 'paper' : resolve(merged.network),
    fileRoot: resolve(merged.fileRoot),
    downloads: resolve(merged.downloads ?? join(data, 'downloads')),
  }
}

/** The parameters of the network that a configuration names. @throws EmrError `config_invalid`, `invalid_network` */
export const loadNetwork = (network: string): NetworkParameters =>
  parseNetworkFile(network === 'paper' ? paperNetwork : readJson(network))

/** Beyond loopback tokens and records pass over a wire, so a node listens there only with TLS or behind a proxy. */
function assertReachable(options: PartialNodeOptions & { host: string }): void {
  const { host, tlsCert, tlsKey, behindProxy, publicUrl } = options
  if ((tlsCert === undefined) !== (tlsKey === undefined)) {
    throw new EmrError('config_invalid', 'tlsCert, tlsKey: give both or none.')
  }
  if (publicUrl !== undefined && !isBareUrl(publicUrl)) {
    throw new EmrError('config_invalid', 'publicUrl: give http:// or https:// with a host and no path.')
  }
  const loopback = host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))
  if (!loopback && !behindProxy && tlsCert === undefined) {
    const remedy = 'give --tls-cert and --tls-key, or --behind-proxy when a proxy ends TLS'
    throw new EmrError('config_invalid', `host: ${host} is not a loopback address; ${remedy}.`)
  }
  if (['0.0.0.0', '::'].includes(host) && publicUrl === undefined) {
    throw new EmrError('config_invalid', `host: ${host} is no name; give --public-url, under which others reach it.`)
  }
}

function isBareUrl(text: string): boolean {
  const url = URL.canParse(text) ? new URL(text) : undefined
  return url !== undefined && /^https?:$/.test(url.protocol) && [url.origin, `${url.origin}/`].includes(text)
}

function optionsFromEnvironment(environment: Readonly<Record<string, string | undefined>>): Record<string, unknown> {
  const found: Record<string, unknown> = {}
  for (const [key, schema] of Object.entries(NodeOptions.properties)) {
    const text = environment[variableOf(key)]
    if (text !== undefined) found[key] = textToOption(text, 'type' in schema ? schema.type : 'string')
  }
  return found
}

/** Name of the variable of an option. */
const variableOf = (option: string): string =>
  `EMRCHAIN_${option.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`

/** Text that is not of the option's type stays text, and the schema then refuses it by name. */
function textToOption(text: string, type: string): unknown {
  if (type === 'integer') return /^\d+$/.test(text) ? Number(text) : text
  if (type === 'boolean') return text === 'true' ? true : text === 'false' ? false : text
  if (type === 'array') return text.split(',').filter((part) => part !== '')
  return text
}

/** @param nameOf what the source calls an option */
function checked(options: unknown, source: string, nameOf = (option: string) => option): PartialNodeOptions {
  if (Value.Check(PartialNodeOptions, options)) return options
  const [first] = Value.Errors(PartialNodeOptions, options)
  const option = first?.instancePath.split('/')[1]
  const where = option === undefined ? source : `${source}, ${nameOf(option)}`
  throw new EmrError('config_invalid', `${where}: ${first ? reasonOf(first) : 'not readable'}.`)
}

function reasonOf(error: TLocalizedValidationError): string {
  if (error.keyword === 'boolean') return 'there is no such option'
  if (error.keyword === 'enum') return `must be one of ${error.params.allowedValues.join(', ')}`
  return error.message
}

function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch (cause) {
    const reason = cause instanceof SyntaxError ? 'is not JSON' : 'cannot be read'
    throw new EmrError('config_invalid', `${path} ${reason}.`, {}, { cause })
  }
}

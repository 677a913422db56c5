import { type Command, InvalidArgumentError, Option } from 'commander'
import { DEFAULT_OPTIONS, NodeOptions, type PartialNodeOptions } from '../config/node-config.js'

type OptionName = keyof typeof NodeOptions.properties
const names = Object.keys(NodeOptions.properties) as OptionName[]

const placeholders: Readonly<Record<OptionName, string>> = {
  port: '<n>',
  host: '<address>',
  tlsCert: '<file>',
  tlsKey: '<file>',
  tlsCa: '<file>',
  behindProxy: '',
  publicUrl: '<url>',
  data: '<dir>',
  network: '<paper|file>',
  ipfs: '<url|embedded>',
  ipfsCluster: '<url>',
  peer: '<url...>',
  allowPeer: '<cidr|host...>',
  mine: '',
  mineInterval: '<ms>',
  eraseAfter: '<blocks>',
  miningThreads: '<n>',
  fileRoot: '<dir>',
  downloads: '<dir>',
  logLevel: '<level>',
}

/** Gives a command a flag for every option of a node, as the schema of the configuration describes them. */
export function addNodeOptions(command: Command): void {
  for (const name of names) {
    const flag = `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
    // A default in the parser would win over environment and file; here it is only told.
    const option = new Option(`${flag} ${placeholders[name]}`.trim(), descriptionOf(name) + defaultText(name))
    command.addOption(typeOf(name) === 'integer' ? option.argParser(wholeNumber) : option)
  }
}

/** The flags that were given, and nothing else. */
export function nodeFlagsOf(command: Command): PartialNodeOptions {
  const given = command.opts<PartialNodeOptions>()
  return Object.fromEntries(Object.entries(given).filter(([name]) => names.some((known) => known === name)))
}

function descriptionOf(name: OptionName): string {
  const schema = NodeOptions.properties[name]
  const description = 'description' in schema ? String(schema.description) : ''
  return 'enum' in schema ? `${description}: ${schema.enum.join(', ')}` : description
}

function defaultText(name: OptionName): string {
  const defaults: PartialNodeOptions = DEFAULT_OPTIONS
  if (name === 'data') return ' (default: emrchain-data/<port>)'
  if (name === 'downloads') return ' (default: downloads in the data folder)'
  const value = defaults[name]
  return value === undefined || value === false || Array.isArray(value) ? '' : ` (default: ${value})`
}

function typeOf(name: OptionName): string {
  const schema = NodeOptions.properties[name]
  return 'type' in schema ? schema.type : 'string'
}

function wholeNumber(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('It is a whole number.')
  return Number(text)
}

import { existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { EmrError } from '../../errors.js'
import { Type, Value } from '../../typebox.js'

const NodesFile = Type.Object({ nodes: Type.Array(Type.String(), { minItems: 1 }) }, { additionalProperties: false })

const DEFAULT_NAME = 'nodes.example.json'
/** The package's own example, for whoever starts a network outside the repository. */
const OWN_EXAMPLE = fileURLToPath(new URL(`../../../${DEFAULT_NAME}`, import.meta.url))

/** One node of a network: where it listens. */
export interface NodeAddress {
  readonly url: string
  readonly host: string
  readonly port: number
}

/** A nodes file: the addresses in it, and its text, which is a body for `connect_node` as it is. */
export interface NodesFile {
  readonly path: string
  readonly text: string
  readonly nodes: readonly NodeAddress[]
}

/**
 * Reads `{"nodes":["http://127.0.0.1:5002", ...]}`.
 *
 * @param path undefined: nodes.example.json of the current folder, else that of the package
 * @throws EmrError `config_invalid`, which names the file and the node
 */
export function readNodesFile(path?: string): NodesFile {
  const found = resolve(path ?? (existsSync(DEFAULT_NAME) ? DEFAULT_NAME : OWN_EXAMPLE))
  let text: string
  try {
    text = readFileSync(found, 'utf8')
  } catch (cause) {
    throw new EmrError('config_invalid', `${found} cannot be read.`, {}, { cause })
  }
  return { path: found, text, nodes: parseNodes(text, found) }
}

function parseNodes(text: string, path: string): NodeAddress[] {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (cause) {
    throw new EmrError('config_invalid', `${path} is not JSON.`, {}, { cause })
  }
  if (!Value.Check(NodesFile, json)) {
    const [first] = Value.Errors(NodesFile, json)
    throw new EmrError('config_invalid', `${path}${first?.instancePath ?? ''}: ${first?.message ?? 'not readable'}.`)
  }
  const nodes = json.nodes.map((node) => parseNode(node, path))
  // Ports name the folders and the lines of the log.
  const twice = nodes.find(({ port }, at) => nodes.findIndex((other) => other.port === port) !== at)
  if (twice) throw new EmrError('config_invalid', `${path}: two nodes have the port ${twice.port}.`)
  return nodes
}

function parseNode(text: string, path: string): NodeAddress {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const plain = url?.protocol === 'http:' && url.href === `${url.origin}/` && url.port !== '' && url.port !== '0'
  if (!url || !plain) {
    throw new EmrError('config_invalid', `${path}: ${text} is not of the form http://127.0.0.1:5002.`)
  }
  return { url: url.origin, host: url.hostname.replace(/^\[(.*)\]$/, '$1'), port: Number(url.port) }
}

import { readFileSync } from 'node:fs'
import { Agent, fetch } from 'undici'
import { createNodeClient, type NodeClient } from '../client/node-client.js'
import type { Fetch } from '../client/node-request.js'
import { EmrError } from '../errors.js'
import type { Globals } from './globals.js'

/**
 * A client for the node that is named. Mining and events are silent for as long as they are, so only the connection has
 * a time limit; Ctrl-C ends the rest.
 *
 * @throws EmrError `peer_bad_address`; `input_unreadable` and `config_invalid` for the file of the token
 */
export function openClient({ node, tokenFile }: Pick<Globals, 'node' | 'tokenFile'>): NodeClient {
  const dispatcher = new Agent({ connect: { timeout: 5_000 }, headersTimeout: 0, bodyTimeout: 0 })
  const ownFetch: Fetch = (address, request) => fetch(address, { ...request, dispatcher })
  return createNodeClient(node, {
    fetch: ownFetch,
    ...(tokenFile === undefined ? {} : { token: readToken(tokenFile, node) }),
  })
}

function readToken(path: string, node: string): string {
  let token: string
  try {
    token = readFileSync(path, 'utf8').trim()
  } catch (cause) {
    throw new EmrError('input_unreadable', `The token file ${path} cannot be read.`, {}, { cause })
  }
  if (!/^[0-9a-f]{64}$/.test(token)) throw new EmrError('config_invalid', `${path} is no token of 64 hex digits.`)
  // Whoever reads it on its way has the node.
  const isPrivate = /^(https:|http:\/\/(127\.\d+\.\d+\.\d+|localhost|\[::1\])([:/]|$))/i.test(node)
  if (!isPrivate) throw new EmrError('config_invalid', 'A token is sent over https only, or to this machine.')
  return token
}

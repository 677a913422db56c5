import { Agent, fetch } from 'undici'
import { createNodeClient, type NodeClient } from '../client/node-client.js'
import type { Fetch } from '../client/node-request.js'

/**
 * A client for the node at `url`. Mining and events are silent for as long as they are, so only the connection has a
 * time limit; Ctrl-C ends the rest.
 */
export function openClient(url: string): NodeClient {
  const dispatcher = new Agent({ connect: { timeout: 5_000 }, headersTimeout: 0, bodyTimeout: 0 })
  const ownFetch: Fetch = (address, request) => fetch(address, { ...request, dispatcher })
  return createNodeClient(url, { fetch: ownFetch })
}

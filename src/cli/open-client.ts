import { readFileSync } from 'node:fs'
import { createSecureContext } from 'node:tls'
import { Agent, fetch } from 'undici'
import { createNodeClient, type NodeClient } from '../client/node-client.js'
import type { Fetch } from '../client/node-request.js'
import type { RequestSigner } from '../client/request-signer.js'
import { EmrError } from '../errors.js'
import { readTokenFile } from '../node/token-file.js'
import type { Globals } from './globals.js'
import { createWalletReader } from './wallet-reader.js'

/**
 * A client for the node that the command line names. Mining and events are silent for as long as they are, so only
 * the connection has a time limit; Ctrl-C ends the rest.
 *
 * @param signer who reads, where the node asks for it; by default the wallet, which is opened only then
 * @throws EmrError `token_file_invalid`, `token_in_clear`, `input_unreadable`, and `peer_bad_address` for a node that
 * is not named by http or https
 */
export function openClient(
  { node, tokenFile, ca, wallet }: Pick<Globals, 'node' | 'tokenFile' | 'ca'> & Partial<Pick<Globals, 'wallet'>>,
  signer?: RequestSigner,
): NodeClient {
  const trusted = ca === undefined ? {} : { ca: readCertificates(ca) }
  const dispatcher = new Agent({ connect: { timeout: 5_000, ...trusted }, headersTimeout: 0, bodyTimeout: 0 })
  const shown = tokenFile === undefined ? {} : { authorization: `Bearer ${readTokenFile(tokenFile)}` }
  if (tokenFile !== undefined) assertPrivate(node)
  // Redirects are not followed, so the token goes to this node and to no other.
  const ownFetch: Fetch = (address, request) =>
    fetch(address, { ...request, headers: { ...request.headers, ...shown }, dispatcher })
  const open = (by?: RequestSigner): NodeClient =>
    createNodeClient(node, { fetch: ownFetch, ...(by ? { signer: by } : {}) })
  return open(signer ?? (wallet === undefined ? undefined : createWalletReader(wallet, open)))
}

/** Whoever carries plain HTTP from one machine to another would have the token. */
function assertPrivate(url: string): void {
  if (!URL.canParse(url)) throw new EmrError('peer_bad_address')
  const { protocol, hostname } = new URL(url)
  const isHere = hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname)
  if (protocol !== 'https:' && !isHere) throw new EmrError('token_in_clear')
}

function readCertificates(path: string): Buffer {
  try {
    const ca = readFileSync(path)
    if (!ca.includes('-----BEGIN CERTIFICATE-----')) throw new Error('no certificate')
    createSecureContext({ ca })
    return ca
  } catch (cause) {
    throw new EmrError('input_unreadable', `${path} is no PEM file of certificates.`, {}, { cause })
  }
}

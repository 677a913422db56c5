import { randomBytes, utf8ToBytes } from '@noble/hashes/utils.js'
import type { Signer } from '../crypto/ed25519.js'
import { sha256 } from '../crypto/hash.js'
import { contentDigest, signRequest } from '../protocol/request-signature.js'

/** Who signs requests where a node asks for it: a key, or what finds one; undefined where there is none. */
export type RequestSigner = Signer | (() => Promise<Signer | undefined>)

/** The key of a signer now. */
export const signerNow = async (signer: RequestSigner | undefined): Promise<Signer | undefined> =>
  typeof signer === 'function' ? signer() : signer

/** The headers that sign a request (docs/protocol.md, "Signed requests"): good once, at this node, for a minute. */
export function signedHeaders(
  { method, url, body = '' }: { method: string; url: string; body?: string | Uint8Array | undefined },
  signer: Signer,
): Record<string, string> {
  const digest = contentDigest(sha256(typeof body === 'string' ? utf8ToBytes(body) : body))
  const nonce = btoa(String.fromCharCode(...randomBytes(16)))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .slice(0, 22)
  return { ...signRequest({ method, url, digest }, signer, { created: Math.floor(Date.now() / 1000), nonce }) }
}

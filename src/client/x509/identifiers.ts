import type { CID } from 'multiformats/cid'
import { sha256 } from '../../crypto/hash.js'
import { capabilities, type Role, roleName } from '../../protocol/consent-vocabulary.js'

/** What URIs of things on a chain begin with; the id of the network and what it is follow. */
export const URI_PREFIX = 'urn:emrchain:'

/** The name of an identity in a certificate: `urn:emrchain:GENESIS:identity:ID`, both ids as base32 CIDs. */
export const identityUri = (genesis: CID, id: CID): string => `${URI_PREFIX}${genesis}:identity:${id}`

/** A role in words: `laboratory technician`. */
export const roleText = (role: Role): string => roleName(role).replaceAll('_', ' ')

/** A mask of capabilities as texts: `capability mine`. */
export const capabilityTexts = (mask: number): string[] =>
  Object.entries(capabilities)
    .filter(([, bit]) => (mask & bit) !== 0)
    .map(([name]) => `capability ${name}`)

/** The key identifier of an Ed25519 key: method 1 of RFC 7093, the first 160 bits of its SHA-256. */
export const keyIdentifierOf = (key: Uint8Array): Uint8Array => sha256(key).subarray(0, 20)

/**
 * The serial number, as the content of a DER integer, of what says on paper that `id` (a certificate on the chain, or
 * an identity that signs for itself) and `key` belong together: the first 16 bytes of the digest in the id, then the
 * first three of the key's SHA-256. One issuer must not use a number twice (RFC 5280, 4.1.2.2), and a certificate on
 * the chain outlives the keys of its subject.
 */
export function serialNumberOf(id: CID, key: Uint8Array): Uint8Array {
  return derInteger(Uint8Array.from([...id.multihash.digest.subarray(0, 16), ...sha256(key).subarray(0, 3)]))
}

/** A positive number, big-endian, in as few bytes as DER wants: the first bit is its sign. */
function derInteger(bytes: Uint8Array): Uint8Array {
  const first = bytes.findIndex((byte) => byte !== 0)
  const rest = first === -1 ? Uint8Array.of(0) : bytes.subarray(first)
  return (rest[0] ?? 0) < 0x80 ? rest : Uint8Array.from([0, ...rest])
}

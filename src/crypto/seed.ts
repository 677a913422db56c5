import { hkdf } from '@noble/hashes/hkdf.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { abytes, concatBytes } from '@noble/hashes/utils.js'
import { type ClassEpoch, classEpochBytes, idBytes } from './bound-bytes.js'

const INFO = new TextEncoder().encode('emrchain/seed/v1')

/** What a seed is for. */
export const seedUses = { identity: 1, seal: 2, classKey: 3 } as const

/** A seed of 32 bytes: HKDF-SHA256 of a root, with the network and what the seed is for. docs/protocol.md, "Keys of a person". */
export const deriveSeed = (
  root: Uint8Array,
  genesis: Uint8Array,
  use: number,
  place: ClassEpoch = { class: 0, epoch: 0 },
): Uint8Array => {
  const info = concatBytes(INFO, idBytes(genesis), Uint8Array.of(use), classEpochBytes(place))
  return hkdf(sha256, abytes(root, 32, 'root'), undefined, info, 32)
}

/** The secret of the X25519 key that things are sealed to for a node: its root is the seed of its Ed25519 key. */
export const nodeSealSecret = (seed: Uint8Array, genesis: Uint8Array): Uint8Array =>
  deriveSeed(seed, genesis, seedUses.seal)

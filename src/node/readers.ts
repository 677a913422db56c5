import { hexToBytes } from '@noble/hashes/utils.js'
import type { CID } from 'multiformats/cid'
import { identityOfKey } from '../contract/actor.js'
import { mayRead, ownerOfKey } from '../contract/may-read.js'
import type { ReadState } from '../contract/state.js'
import { chainCidAt } from '../protocol/cid.js'

/** Who may read at this node, by Ed25519 keys in hexadecimal digits; it is all of the main chain, up to the tip. */
export interface Readers {
  /** Whether everybody may: the network has no administrators. */
  readonly isOpen: boolean
  /** Whether this key may read at the later of the tip's time and this node's clock. */
  mayRead(key: string): boolean
  /** Whether this key may read, and not because everybody may. */
  isCertified(key: string): boolean
  /** Whether a node of this key may be told what is new here. */
  mayHear(node: { readonly key?: string }): boolean
  /** Whose key this is, or was before it was replaced. */
  ownerOf(key: string): { readonly identity: CID; readonly isCurrent: boolean } | undefined
}

export interface ReadersDependencies {
  readonly isOpen: boolean
  readonly state: ReadState
  tipTime(): number
  now(): number
}

export function createReaders({ isOpen, state, tipTime, now }: ReadersDependencies): Readers {
  const isCertified = (key: string): boolean => !isOpen && mayRead(state, hexToBytes(key), Math.max(tipTime(), now()))
  return {
    isOpen,
    isCertified,
    mayRead: (key) => isOpen || isCertified(key),
    mayHear: ({ key }) => isOpen || (key !== undefined && isCertified(key)),
    ownerOf(key) {
      const bytes = hexToBytes(key)
      const owner = ownerOfKey(state, bytes)
      return owner && { identity: chainCidAt(owner, 0), isCurrent: identityOfKey(state, bytes) !== undefined }
    },
  }
}

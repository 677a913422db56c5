import { hkdf } from '@noble/hashes/hkdf.js'
import { sha256 as hash } from '@noble/hashes/sha2.js'
import { abytes, concatBytes } from '@noble/hashes/utils.js'
import { EmrError } from '../errors.js'
import { isSha256, sha256 } from './hash.js'

// The key of a file comes from two shares of 32 random bytes. One, `chain`, is sealed in the record for whom consent
// reaches; the other, `off`, is with custodians, who release it. Neither alone says anything of the key.

/** Bytes of each share. */
export const SHARE_SIZE = 32

const KEY_INFO = new TextEncoder().encode('emrchain/key/v1')
const LABEL_INFO = new TextEncoder().encode('emrchain/label/v1')

/** The two shares of one file. Secret. */
export interface Shares {
  readonly chain: Uint8Array
  readonly off: Uint8Array
}

/** The 32-byte key of a file: HKDF-SHA256 (RFC 5869) of both shares, without salt. */
export const contentKey = ({ chain, off }: Shares): Uint8Array =>
  hkdf(hash, concatBytes(share(chain), share(off)), undefined, KEY_INFO, 32)

/** The 32-byte key of a record's label, from the share on the chain alone: whoever may open the seal may read it. */
export const labelKey = (chain: Uint8Array): Uint8Array => hkdf(hash, share(chain), undefined, LABEL_INFO, 32)

/** What a record says in clear of the share that is not in it: its SHA-256. It has 256 random bits, so no salt. */
export const commitmentOf = (off: Uint8Array): Uint8Array => sha256(share(off))

/** Checks that a share is the one of a record. @throws EmrError `share_wrong` */
export function assertShare(off: Uint8Array, commitment: Uint8Array): void {
  if (off.length !== SHARE_SIZE || !isSha256(commitment, off)) throw new EmrError('share_wrong')
}

const share = (bytes: Uint8Array): Uint8Array => abytes(bytes, SHARE_SIZE, 'share')

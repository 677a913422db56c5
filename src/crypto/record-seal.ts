import { abytes, concatBytes } from '@noble/hashes/utils.js'
import { type ClassEpoch, classEpochBytes, idBytes } from './bound-bytes.js'
import type { Binding, Sealed } from './hpke.js'
import { openSealedShare, sealShare } from './share-seal.js'

const INFO = new TextEncoder().encode('emrchain/record-share/v1')

/** The one record that a sealed share belongs to (docs/protocol.md, "Sealed secrets"). */
export interface RecordPlace extends ClassEpoch {
  /** Id of the network: 36 bytes. */
  readonly genesis: Uint8Array
  readonly patient: Uint8Array
  /** Ed25519 key of the author. */
  readonly author: Uint8Array
  /** 32 random bytes of the author. */
  readonly nonce: Uint8Array
  /** The bytes of the CID of the encrypted file. */
  readonly file: Uint8Array
}

/** Seals the share on the chain to the patient's class key. @throws EmrError `seal_bad_key` */
export const sealRecordShare = (
  classKey: Uint8Array,
  share: Uint8Array,
  place: RecordPlace,
  ephemeral?: Uint8Array,
): Promise<Sealed> => sealShare(classKey, share, bindingOf(place), ephemeral)

/** Opens a record's share with the secret of the class key. @throws EmrError `seal_wrong` */
export const openRecordShare = (secret: Uint8Array, sealed: Sealed, place: RecordPlace): Promise<Uint8Array> =>
  openSealedShare(secret, sealed, bindingOf(place))

/** Every part but the last has one length, so no two places have the same bytes. */
const bindingOf = ({ genesis, patient, author, nonce, file, ...classEpoch }: RecordPlace): Binding => ({
  info: INFO,
  aad: concatBytes(
    idBytes(genesis),
    idBytes(patient),
    classEpochBytes(classEpoch),
    abytes(author, 32, 'author'),
    abytes(nonce, 32, 'nonce'),
    file,
  ),
})

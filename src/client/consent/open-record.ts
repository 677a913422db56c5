import { assertShare, contentKey } from '../../crypto/content-key.js'
import type { Sealed } from '../../crypto/hpke.js'
import type { LabelPlace } from '../../crypto/label-seal.js'
import { openRecordShare } from '../../crypto/record-seal.js'
import { EmrError, isEmrError } from '../../errors.js'
import { openRelease, type Release, type ReleasePlace } from '../../protocol/sealed-release.js'
import { type ConsentKeys, classSecret, sealSecrets } from './consent-keys.js'
import { openRecordLabel, type RecordLabel } from './label.js'
import type { ConsentRecord } from './record.js'

/** What of a record is needed to open it. */
export type SealedRecord = Pick<ConsentRecord, 'chain' | 'from' | 'body'>

/** Opens `S_chain` of a record with the secret of the class key that it is sealed to. @throws EmrError `seal_wrong` */
export const openShare = ({ chain, from, body }: SealedRecord, secret: Uint8Array): Promise<Uint8Array> => {
  const { patient, class: recordClass, epoch, nonce, file, enc, sealed } = body
  const place = { genesis: chain.bytes, patient, class: recordClass, epoch, author: from, nonce, file }
  return openRecordShare(secret, { enc, ct: sealed }, place)
}

/** Opens `S_chain` of one's own record. @throws EmrError `secret_missing`, `seal_wrong` */
export const openOwnShare = async (keys: ConsentKeys, record: SealedRecord): Promise<Uint8Array> =>
  openShare(record, classSecret(keys, record.body))

/** What opens a file, and what it is called. Secret. */
export interface OpenedRecord {
  /** Opens the file (`decryptFile`). */
  readonly contentKey: Uint8Array
  /** Null where no custodian has one that opens: nobody but who writes a record vouches for it. */
  readonly label: RecordLabel | null
}

/**
 * The key of a record's file from its two shares, once the second is known to be the one that the record commits to;
 * and its label, if there is one.
 *
 * @throws EmrError `share_wrong`
 */
export function openRecord(
  { chain: { bytes: genesis }, body: { commitment, nonce } }: Pick<SealedRecord, 'chain' | 'body'>,
  chainShare: Uint8Array,
  released: Release,
): OpenedRecord {
  assertShare(released.share, commitment)
  const label = labelOf(chainShare, released.label, { genesis, nonce })
  return { contentKey: contentKey({ chain: chainShare, off: released.share }), label }
}

function labelOf(chainShare: Uint8Array, sealed: Uint8Array, place: LabelPlace): RecordLabel | null {
  if (sealed.length === 0) return null
  try {
    return openRecordLabel(chainShare, sealed, place)
  } catch (error) {
    // The file opens without it.
    if (isEmrError(error, 'seal_wrong') || isEmrError(error, 'label_malformed')) return null
    throw error
  }
}

/** Opens what a custodian released to this person, now or before a rotation. @throws EmrError `seal_wrong` */
export const openReleased = (keys: ConsentKeys, sealed: Sealed, place: ReleasePlace) =>
  openWithAny(sealSecrets(keys), (secret) => openRelease(secret, sealed, place))

/** The first secret that opens something. @throws EmrError `seal_wrong` if none does */
export async function openWithAny<T>(
  secrets: readonly Uint8Array[],
  open: (secret: Uint8Array) => Promise<T>,
): Promise<T> {
  for (const secret of secrets) {
    try {
      return await open(secret)
    } catch (error) {
      if (!isEmrError(error, 'seal_wrong')) throw error
    }
  }
  throw new EmrError('seal_wrong')
}

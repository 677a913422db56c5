import { openGrantSecrets } from '../../crypto/grant-seal.js'
import { EmrError } from '../../errors.js'
import type { GrantBody } from '../../protocol/bodies/grant.js'
import { equalBytes } from '../../protocol/canonical.js'
import { type ConsentKeys, sealSecrets } from './consent-keys.js'
import type { ClassSecret, GrantTransaction, RecordShare } from './grant.js'
import { openShare, openWithAny } from './open-record.js'
import type { ConsentRecord } from './record.js'

/** The secrets of a grant: shares of records, or secrets of class keys. */
export interface OpenedGrant {
  readonly shares: readonly RecordShare[]
  readonly secrets: readonly ClassSecret[]
}

/**
 * Opens a grant to this person or organisation, also one that was sealed before a rotation.
 *
 * @throws EmrError `secret_missing` if nothing is sealed in it, `seal_wrong` if it is for another
 */
export async function openGrant(
  keys: ConsentKeys,
  { chain, body }: Pick<GrantTransaction, 'chain' | 'body'>,
): Promise<OpenedGrant> {
  const { patient, grantee, records, keys: classKeys, seal } = body
  if (!seal || !grantee) throw new EmrError('secret_missing', 'Nothing is sealed in this grant.')
  // Records that are named beside class keys would be sealed first; a grant has one or the other.
  const place = { genesis: chain.bytes, patient, grantee, records, keys: classKeys }
  const secrets = await openWithAny(sealSecrets(keys), (secret) => openGrantSecrets(secret, seal, place))
  const at = (index: number): Uint8Array => secrets[index] ?? new Uint8Array(0)
  return {
    shares: records.map((record, index) => ({ record, share: at(index) })),
    secrets: classKeys.map((key, index) => ({ ...key, secret: at(records.length + index) })),
  }
}

/** Whether a grant has what opens a record: several may allow it, and one of them has the key. */
export const hasSecretOf = ({ records, keys }: GrantBody, { id, body }: Pick<ConsentRecord, 'id' | 'body'>): boolean =>
  records.some((one) => equalBytes(one, id.bytes)) ||
  keys.some((one) => one.class === body.class && one.epoch === body.epoch)

/**
 * `S_chain` of a record by the secrets of a grant.
 *
 * @throws EmrError `secret_missing` if the grant has none for it, as for a record of a later epoch; `seal_wrong`
 */
export async function shareByGrant({ shares, secrets }: OpenedGrant, record: ConsentRecord): Promise<Uint8Array> {
  const named = shares.find((one) => equalBytes(one.record, record.id.bytes))
  if (named) return named.share
  const { class: recordClass, epoch } = record.body
  const found = secrets.find((one) => one.class === recordClass && one.epoch === epoch)
  if (!found) throw new EmrError('secret_missing', `The grant has none for class ${recordClass}, epoch ${epoch}.`)
  return openShare(record, found.secret)
}

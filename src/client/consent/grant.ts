import type { ClassEpoch } from '../../crypto/bound-bytes.js'
import type { Signer } from '../../crypto/ed25519.js'
import { sealGrantSecrets } from '../../crypto/grant-seal.js'
import { EmrError } from '../../errors.js'
import { compareBytes } from '../../protocol/bodies/fields.js'
import { type GrantBody, MAX_GRANTED_KEYS } from '../../protocol/bodies/grant.js'
import { actions, EVERY_SENSITIVITY } from '../../protocol/consent-vocabulary.js'
import type { SignedTransaction } from '../../protocol/transaction.js'
import { type ConsentKeys, classSecret } from './consent-keys.js'
import { type Stamp, signed } from './draft.js'
import { openShare } from './open-record.js'
import type { ConsentRecord } from './record.js'
import { type AskedScope, scopeOf } from './scope.js'

/** A grant as it is on the chain. */
export type GrantTransaction = SignedTransaction & { readonly kind: 'grant'; readonly body: GrantBody }

/** The share of a record, for whom it is sealed again. Secret. */
export interface RecordShare {
  /** Id of the record. */
  readonly record: Uint8Array
  readonly share: Uint8Array
}

/** The secret of a class key, for whom it is sealed again. */
export interface ClassSecret extends ClassEpoch {
  readonly secret: Uint8Array
}

export interface Grantee {
  readonly id: Uint8Array
  /** X25519 key of its latest version. */
  readonly seal: Uint8Array
}

/** Who gives, to whom, in which roles; and what the grant answers and rests on. */
export interface GrantParties extends Pick<GrantBody, 'patient' | 'roles'> {
  readonly grantee: Grantee
  /** The certificate of the author: of a patient in a network with administrators, and of a delegate. */
  readonly certificate: Uint8Array | null
  /** The grant by which a delegate acts for the patient. */
  readonly under?: Uint8Array | null
  /** The request that it answers. */
  readonly request?: Uint8Array | null
}

type Terms = Omit<AskedScope, 'records' | 'classes'>

/**
 * A grant of these records: their shares are sealed to the grantee.
 *
 * @throws EmrError `transaction_malformed`, `seal_bad_key`; `consent_unfit` where the actions need no share
 */
export function grantRecords(
  stamp: Stamp,
  signer: Signer,
  { shares, ...grant }: GrantParties & Terms & { readonly shares: readonly RecordShare[] },
): Promise<GrantTransaction> {
  const sorted = [...shares].sort((a, b) => compareBytes(a.record, b.record))
  const records = sorted.map(({ record }) => record)
  const secrets = sorted.map(({ share }) => share)
  return sealedGrant(stamp, signer, { ...grant, records, classes: 0, keys: [], secrets })
}

/**
 * A grant of whole classes: the secrets of these class keys, of any epochs, are sealed to the grantee. What is written
 * under a later epoch it cannot open until the patient seals that one too. Without secrets, and so without READ and
 * DOWNLOAD, it is for somebody who only writes.
 *
 * @throws EmrError `transaction_malformed`, `seal_bad_key`, `transaction_too_large`; `consent_unfit` where actions and
 *   secrets do not belong together
 */
export function grantClasses(
  stamp: Stamp,
  signer: Signer,
  { secrets, ...grant }: GrantParties & Terms & { readonly classes: number; readonly secrets: readonly ClassSecret[] },
): Promise<GrantTransaction> {
  const sorted = [...secrets].sort((a, b) => a.class - b.class || a.epoch - b.epoch)
  const keys = sorted.map(({ class: recordClass, epoch }) => ({ class: recordClass, epoch }))
  return sealedGrant(stamp, signer, { ...grant, records: [], keys, secrets: sorted.map(({ secret }) => secret) })
}

/**
 * As `grantClasses`, in as many grants as it takes: one holds the keys of at most 64 versions of classes. A class is whole
 * in one of them where that can be. They have the same terms and the same time, and are one consent.
 *
 * @throws EmrError as `grantClasses`; `consent_unfit` where it would take several and the uses are counted
 */
export function grantClassesInParts(
  stamp: Stamp,
  signer: Signer,
  grant: Parameters<typeof grantClasses>[2],
): Promise<GrantTransaction[]> {
  const parts = partsOf(grant)
  if (parts.length > 1 && (grant.uses ?? 0) > 0) {
    throw new EmrError(
      'consent_unfit',
      `A grant that counts its uses is one, with ${MAX_GRANTED_KEYS} keys of classes at most: name fewer classes, or records.`,
    )
  }
  return Promise.all(parts.map((part) => grantClasses(stamp, signer, { ...grant, ...part })))
}

interface Part {
  classes: number
  readonly secrets: ClassSecret[]
}

function partsOf({ classes, secrets }: { classes: number; secrets: readonly ClassSecret[] }): readonly Part[] {
  const parts: Part[] = []
  for (const one of new Set(secrets.map((key) => key.class))) {
    const keys = secrets.filter((key) => key.class === one).sort((a, b) => a.epoch - b.epoch)
    while (keys.length > 0) {
      const piece = keys.splice(-MAX_GRANTED_KEYS)
      const room = parts.find((part) => part.secrets.length + piece.length <= MAX_GRANTED_KEYS)
      room?.secrets.push(...piece)
      if (room) room.classes |= one
      else parts.push({ classes: one, secrets: piece })
    }
  }
  const [first] = parts
  if (!first) return [{ classes, secrets: [] }]
  // Classes that nothing is sealed of.
  first.classes |= classes & ~parts.reduce((mask, part) => mask | part.classes, 0)
  return parts
}

/** Forbids something to somebody, or with null to everybody, whatever else allows it. @throws EmrError `transaction_malformed` */
export function denyAccess(
  stamp: Stamp,
  signer: Signer,
  deny: Pick<GrantBody, 'patient' | 'grantee' | 'roles' | 'certificate'> &
    Pick<AskedScope, 'records' | 'classes' | 'actions' | 'purposes' | 'from' | 'until'>,
): GrantTransaction {
  const { patient, grantee, roles, certificate } = deny
  const whole = { confidentiality: 3, sensitivity: EVERY_SENSITIVITY, uses: 0 }
  const scope = scopeOf({ ...deny, ...whole })
  const nothing = { under: null, request: null, keys: [], seal: null }
  const body = { patient, grantee, roles, deny: 1, certificate, ...nothing, ...scope }
  return grantTransaction(signed(stamp, signer, { kind: 'grant', body }))
}

/** The shares of the patient's own records, opened to be granted. @throws EmrError `secret_missing`, `seal_wrong` */
export const sharesOf = (keys: ConsentKeys, records: readonly ConsentRecord[]): Promise<RecordShare[]> =>
  Promise.all(
    records.map(async (record) => ({
      record: record.id.bytes,
      share: await openShare(record, classSecret(keys, record.body)),
    })),
  )

/** All the patient's secrets of the classes in this mask, or those of the given epochs. */
export const classSecretsOf = (
  keys: ConsentKeys,
  classes: number,
  isWanted: (key: ClassEpoch) => boolean = () => true,
): ClassSecret[] =>
  keys.classKeys
    .filter((key) => (key.class & classes) !== 0 && isWanted(key))
    .map(({ class: recordClass, epoch }) => ({
      class: recordClass,
      epoch,
      secret: classSecret(keys, { class: recordClass, epoch }),
    }))

interface Contents {
  readonly records: readonly Uint8Array[]
  readonly classes: number
  readonly keys: readonly ClassEpoch[]
  readonly secrets: readonly Uint8Array[]
}

async function sealedGrant(
  stamp: Stamp,
  signer: Signer,
  grant: GrantParties & Terms & Contents,
): Promise<GrantTransaction> {
  const { patient, grantee, roles, certificate, under = null, request = null, keys, secrets } = grant
  const scope = scopeOf(grant)
  assertNeeded(scope.actions, secrets.length)
  const place = { genesis: stamp.chain.bytes, patient, grantee: grantee.id, records: scope.records, keys }
  const seal = secrets.length > 0 ? await sealGrantSecrets(grantee.seal, secrets, place) : null
  const parties = { patient, grantee: grantee.id, roles, deny: 0, under, certificate, request }
  return grantTransaction(signed(stamp, signer, { kind: 'grant', body: { ...parties, keys, seal, ...scope } }))
}

/** Who is to read gets what it needs for that, and who is not gets nothing that would let it. */
function assertNeeded(granted: number, secrets: number): void {
  const isToRead = (granted & (actions.READ | actions.DOWNLOAD)) !== 0
  const mayHold = isToRead || (granted & (actions.LIST | actions.REGRANT)) !== 0
  if (isToRead && secrets === 0) throw new EmrError('consent_unfit', 'Without a secret nothing can be read.')
  if (!mayHold && secrets > 0) throw new EmrError('consent_unfit', 'Who may not read or list needs no secret.')
}

/** A transaction as a grant. @throws EmrError `consent_unfit` if it is none */
export function grantTransaction(transaction: SignedTransaction): GrantTransaction {
  if (transaction.kind !== 'grant') throw new EmrError('consent_unfit', 'The transaction with this id is no grant.')
  return { ...transaction, kind: transaction.kind, body: transaction.body }
}

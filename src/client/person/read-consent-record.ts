import { hexToBytes } from '@noble/hashes/utils.js'
import { decryptFile, FILE_CONTEXT } from '../../crypto/file-cipher.js'
import { EmrError, isEmrError } from '../../errors.js'
import { chainCidAt, decodeFileCid, parseChainId } from '../../protocol/cid.js'
import { actions, purposes } from '../../protocol/consent-vocabulary.js'
import { releaseCommitment } from '../../protocol/release.js'
import { accessRecord, newSalt } from '../consent/access.js'
import { grantTransaction } from '../consent/grant.js'
import type { RecordLabel } from '../consent/label.js'
import { openMemberShare } from '../consent/member-share.js'
import { openGrant, shareByGrant } from '../consent/open-grant.js'
import { openOwnShare, openRecord, openReleased } from '../consent/open-record.js'
import { type ConsentRecord, consentRecord } from '../consent/record.js'
import { wordsOf } from '../consent/scope-text.js'
import { custodiansOf, requestTo } from './custodians.js'
import { grantThatAllows } from './may-do.js'
import { type Acting, actingOf, type PersonSession, stampOf } from './person-session.js'

export interface Reading {
  /** A bit; PATRQT of one's own and TREAT of another's if left out. */
  readonly purpose?: number | undefined
  /** Id of the grant, as text; the newest that allows it if left out; null to ask without one, which is refused and on record. */
  readonly grant?: string | null | undefined
  /** What the organisation that the grant is to has sealed to this member (member-share.ts). */
  readonly memberShare?: Uint8Array | undefined
  /** Called where the grant counts its uses, and so the access has to get into a block first. */
  readonly onWaiting?: (() => void | Promise<void>) | undefined
}

/** A record that is open. */
export interface OpenRecord {
  /** CID of the ciphertext. */
  readonly cid: string
  /** Null where no custodian has one. */
  readonly label: RecordLabel | null
  /** Id of the access that is on the chain for it, or waits to be. */
  readonly access: string
  readonly grant: string | null
  /** The file, fetched, checked and decrypted as it is read; to be read once. */
  contents(onProgress?: (bytes: number) => void): AsyncGenerator<Uint8Array, void, undefined>
}

/**
 * Opens a record: says so on the chain, and gets the share from a custodian. An attempt that is refused for want of consent
 * gets to the chain too.
 *
 * @param id as text
 * @throws EmrError `consent_missing`, `record_erased`, `release_denied`, `secret_missing`, and what the nodes refuse with
 */
export async function readConsentRecord(
  session: PersonSession,
  id: string,
  reading: Reading = {},
): Promise<OpenRecord> {
  const { client, chain, aead, signal } = session
  const acting = await actingOf(session)
  const record = consentRecord(await client.signedTransaction(id, { signal }))
  const patient = chainCidAt(record.body.patient, 0).toString()
  const isOwn = patient === acting.id
  const purpose = reading.purpose ?? (isOwn ? purposes.PATRQT : purposes.TREAT)
  const certificate = acting.certificate && chainCidAt(acting.certificate, 0).toString()
  const question = {
    ...{ accessor: acting.id, record: id, action: 'READ', purpose: wordsOf(purpose, purposes).join() },
    ...(certificate ? { certificate } : {}),
  }
  const wanted = { patient, accessor: acting.id, question, record }
  let missing = new EmrError('consent_missing')
  const findGrant = (): Promise<string | null> =>
    grantThatAllows(session, wanted).catch((error: unknown) => {
      if (!isEmrError(error, 'consent_missing')) throw error
      missing = error
      return null
    })
  const grant = isOwn || reading.grant === null ? null : (reading.grant ?? (await findGrant()))
  // Without consent the custodians are asked all the same: that somebody tried is for the patient to see.
  const isHopeless = !isOwn && grant === null
  const share = isHopeless
    ? undefined
    : await shareOf(session, acting, { record, grant, memberShare: reading.memberShare })

  const { custodians } = await client.identity(patient, { signal })
  const { reached } = await custodiansOf(session, custodians)
  const { seal } = acting.identity
  const salt = newSalt()
  const access = accessRecord(stampOf(session), acting.signer, {
    ...{ record: record.id.bytes, certificate: acting.certificate, action: actions.READ, purpose },
    grant: grant === null ? null : parseChainId(grant).bytes,
    commitment: releaseCommitment(chain, { record: record.id.bytes, seal: hexToBytes(seal), salt }),
  })
  const ask = () =>
    firstOf(reached, async ({ id: custodian, client: node }) => {
      const body = { access: access.bytes, salt }
      const asked = requestTo(session, acting.signer, custodian, { kind: 'release', body })
      const { sealed } = await node.release(record.id.toString(), asked, { signal })
      const place = { genesis: chain.bytes, record: record.id.bytes, access: access.id.bytes, custodian }
      const released = await openReleased(acting.keys, sealed, place)
      if (!share) throw missing
      // Here, so that another is asked where this one gave something else.
      return openRecord(record, share, released)
    })
  const saying = (error: unknown): never => {
    // Why it is refused, in the words of the contract about the grants that there are.
    throw isHopeless && reading.grant !== null ? missing : error
  }
  let opened = await unlessWaiting(ask()).catch(saying)
  if (!opened) await reading.onWaiting?.()
  // A custodian may have the block a moment later than the asked node.
  for (let left = LATER; !opened; left--) {
    await untilIncluded(session, access.id.toString())
    opened = await (left > 0 ? unlessWaiting(ask()) : ask())
  }
  const { contentKey, label } = opened
  const cid = decodeFileCid(record.body.file).toString()
  return {
    ...{ cid, label, grant },
    access: access.id.toString(),
    contents: (onProgress) =>
      decryptFile(client.downloadFile(cid, { onProgress, signal }), { key: contentKey, context: FILE_CONTEXT, aead }),
  }
}

/** `S_chain`: of one's own records by the class key, else by the grant, or by what the organisation gave of it. */
async function shareOf(
  { client, chain, signal }: PersonSession,
  { id, keys }: Acting,
  { record, grant, memberShare }: { record: ConsentRecord; grant: string | null; memberShare: Uint8Array | undefined },
): Promise<Uint8Array> {
  if (grant === null) return openOwnShare(keys, record)
  const transaction = grantTransaction(await client.signedTransaction(grant, { signal }))
  if (memberShare) {
    const place = {
      genesis: chain.bytes,
      record: record.id.bytes,
      grant: transaction.id.bytes,
      member: parseChainId(id).bytes,
    }
    return openMemberShare(keys, memberShare, place)
  }
  const { grantee } = transaction.body
  if (grantee && chainCidAt(grantee, 0).toString() !== id) {
    throw new EmrError('secret_missing', 'The grant is to your organisation: it has to share the record with you.')
  }
  return shareByGrant(await openGrant(keys, transaction), record)
}

/** Undefined where the custodian waits for the access to get into a block. */
const unlessWaiting = <R>(answer: Promise<R>): Promise<R | undefined> =>
  answer.catch((error: unknown) => {
    if (isEmrError(error, 'access_not_included')) return undefined
    throw error
  })

/** How often a node is asked whether a block has come, in ms; and how often custodians are asked once it is there. */
const LOOK_AGAIN = 500
const LATER = 20

async function untilIncluded({ client, signal }: PersonSession, id: string): Promise<void> {
  do {
    await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN))
  } while ((await client.transaction(id, { signal })).state !== 'confirmed')
}

/** What a custodian says of the record and of consent. Of several failures this is told, and not that one was out of reach. */
const SAYINGS: ReadonlySet<string> = new Set([
  'record_erased',
  'release_frozen',
  'release_denied',
  'access_not_included',
])

const isUnreachable = (error: unknown): error is EmrError =>
  isEmrError(error, 'node_unreachable') || isEmrError(error, 'node_broke_off')

/** The first answer, asked one after the other: each custodian that is asked notes a release. @throws what the last one threw */
async function firstOf<T, R>(all: readonly T[], ask: (one: T) => Promise<R>): Promise<R> {
  let failure: unknown = new EmrError('custodian_unknown')
  let isSaid = false
  for (const one of all) {
    try {
      return await ask(one)
    } catch (thrown) {
      const error = isUnreachable(thrown) ? new EmrError('custodian_unreachable', thrown.message) : thrown
      const says = isEmrError(error) && SAYINGS.has(error.code)
      if (says || !isSaid) failure = error
      isSaid ||= says
    }
  }
  throw failure
}

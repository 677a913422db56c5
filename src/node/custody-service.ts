import { setTimeout } from 'node:timers/promises'
import type { CID } from 'multiformats/cid'
import { identityOfKey } from '../contract/actor.js'
import { codeOf, nameOfCode } from '../contract/result-codes.js'
import { recordOf } from '../contract/rows.js'
import type { Signer } from '../crypto/ed25519.js'
import { EmrError, isEmrError } from '../errors.js'
import type { ErasureNote } from '../ledger/erasure-notes.js'
import type { ReleaseLog, ReleasePage } from '../ledger/release-log.js'
import type { Shares } from '../ledger/shares.js'
import type { ConsentRecordBody } from '../protocol/bodies/record.js'
import { equalBytes } from '../protocol/canonical.js'
import { chainCidAt } from '../protocol/cid.js'
import { roles } from '../protocol/consent-vocabulary.js'
import { decodeViewQuestion, MAX_WITHDRAWALS, signCustodianView } from '../protocol/custodian-view.js'
import {
  decodeReleaseReceipt,
  type ReleaseReceipt,
  releaseCommitment,
  signReleaseReceipt,
} from '../protocol/release.js'
import type { sealRelease } from '../protocol/sealed-release.js'
import type { SignedMap } from '../protocol/signed-map.js'
import { checkSignatures, decodeTransaction, type SignatureRules } from '../protocol/transaction.js'
import { assertCustodianOf, isCustodianOf } from './assert-custodian-of.js'
import { createCustodianAgreement } from './custodian-agreement.js'
import type { CustodyChain, ErasableFiles, OtherNodes, Standing } from './custody-dependencies.js'
import { DEFAULT_CUSTODY_OPTIONS } from './custody-options.js'
import { depositIdOf } from './deposit-id.js'
import { erasureOfFile } from './erased-files.js'
import { createErasureSweep } from './erasure-sweep.js'
import { createExpireDeposits } from './expire-deposits.js'
import { createHandOver } from './hand-over.js'
import { createNoteMoves } from './note-moves.js'
import { oneAtATime } from './one-at-a-time.js'
import { nextBlock, withdrawalsOf } from './pending-withdrawals.js'
import { recordBody } from './records-of.js'
import { type Access, assertAllowed } from './release-conditions.js'
import { createReleaseSlots, type ReleaseSlot } from './release-slots.js'
import { createRequestGate } from './request-gate.js'
import { createShareKeeper, type DepositReceipt, sealKeyOf } from './share-keeper.js'
import { createTakeReceipt } from './take-receipt.js'

export interface CustodyDependencies {
  readonly genesis: CID
  readonly signer: Signer
  /** Opens what is sealed to this node (`nodeSealSecret`). */
  readonly sealSecret: Uint8Array
  readonly rules: SignatureRules
  readonly chain: CustodyChain
  readonly shares: Shares
  readonly releases: ReleaseLog
  readonly others: OtherNodes
  readonly files: ErasableFiles
  /** HPKE to the asker (`sealRelease`). */
  readonly seal: typeof sealRelease
  /** Until it resolves nothing is given out or destroyed but files, which wait where `isRestored`. */
  caughtUp?(): Promise<void>
  /** Whether the data folder comes from a backup, so that it may lack erasures which were carried out since. */
  readonly isRestored?: boolean
  /** Clock, in ms since 1970. */
  now(): number
  /** Waits so many ms. */
  pause?(ms: number): Promise<void>
  /** Hears what could not be done now and will be tried again. */
  onTrouble(error: unknown): void
  /** Hears what could not be done and will not be tried again. */
  onLost(error: unknown, what: string): void
  /** Hears of each share that another custodian has acknowledged. */
  onHandedOver?(): void
}

/** How long an access is good for a release, in ms after it was signed or its block's time. */
export const ACCESS_LIFETIME = 24 * 3_600_000
/** How often erasures are looked at, besides at each new tip, in ms. */
const SWEEP_INTERVAL = 600_000
/** How long another node may take to acknowledge an access, in ms. */
const ACKNOWLEDGE_TIME = 10_000

/** `S_off` and the sealed label, sealed to the asker (`openRelease`). */
export interface Release {
  readonly custodian: Uint8Array
  readonly access: Uint8Array
  readonly enc: Uint8Array
  readonly ct: Uint8Array
}

/** What a node does as a custodian of patients: keeps shares, gives them out as consent allows, destroys them. */
export interface CustodyService {
  /**
   * Keeps a share; durable when it resolves. The same deposit again gives the same receipt.
   *
   * @throws EmrError those of request-gate.ts, `not_custodian`, `custodian_not_certified`, `share_unopened`, `share_wrong`,
   * `share_differs`, `record_erased`, `custody_author_full`, `custody_full`
   */
  deposit(request: Uint8Array): Promise<DepositReceipt>
  /**
   * Gives a share out. In this order it needs: the record on the chain and the share here, no erasure, no pending
   * erasure or revocation, consent, the access on disk here and on another node, agreement with most custodians, and
   * where uses are limited the access on the chain. `record` is the one that is wanted, where that is said apart from the
   * request. A signed receipt is on disk and told before it resolves.
   *
   * @throws EmrError those of request-gate.ts, `access_unfit`, `access_expired`, `custody_busy`, `record_unknown`,
   * `record_erased`, `not_custodian`, `custodian_not_certified`, `share_unknown`, `release_frozen`, `release_denied`, `access_unacknowledged`,
   * `custodians_disagree`, `access_not_included`, and those of submitting a transaction
   */
  release(request: Uint8Array, record?: Uint8Array): Promise<Release>
  /**
   * Answers another custodian of the patient of a record (custodian-view.ts), who has proved this key.
   *
   * @throws EmrError `request_malformed`, `other_network`, `request_unknown_key`, `record_unknown`, `not_custodian`, `custody_busy`
   */
  view(question: Uint8Array, from: Uint8Array): Promise<Uint8Array>
  /**
   * Takes another custodian's receipt of a release: one by a former or present custodian of the patient, under an access
   * to that record that the asker signed. True where it is new, and to be told on.
   *
   * @throws EmrError `request_malformed`, `other_network`, `request_bad_signature`, `not_custodian`, `record_unknown`,
   * `transaction_unknown`, `access_unfit`
   */
  takeReceipt(receipt: Uint8Array): Promise<boolean>
  /**
   * Keeps what a former or present custodian of a patient hands over, whom the patient names now; durable when it
   * resolves. A signed receipt (handover.ts).
   *
   * @throws EmrError those of request-gate.ts, `record_unknown`, `record_erased`, `not_custodian`, `custodian_not_certified`,
   * `share_unopened`, `share_wrong`, `custody_full`
   */
  takeOver(request: Uint8Array): Promise<Uint8Array>
  /** Hands shares of patients who have named other custodians to those, as far as it can be done now. Whether nothing is left. */
  handOver(): Promise<boolean>
  /** How many shares are kept, and how many erasures of the chain are not done with here. */
  kept(): { readonly deposits: number; readonly erasuresWaiting: number }
  /** Signed receipts of releases of a record that this node knows of, by access and custodian. */
  releasesOf(record: Uint8Array, page?: ReleasePage): SignedMap<ReleaseReceipt>[]
  /**
   * Passes over a file that may be served and fetched, by the erasures on this node's disk and chain. Only on a data folder
   * that was restored does it wait for what other nodes know.
   *
   * @param file bytes of its CID
   * @throws EmrError `record_erased` where `erasureOfFile` says so
   */
  assertNotErased(file: Uint8Array): Promise<void>
  /** Takes in a new tip: to be called at each. Before `caughtUp` nothing is destroyed for it. */
  follow(): Promise<void>
  /** Applies the erasures of the chain. Until that is done once, no share is given out. */
  start(): Promise<void>
  close(): Promise<void>
}

export function createCustodyService(
  dependencies: CustodyDependencies,
  options = DEFAULT_CUSTODY_OPTIONS,
): CustodyService {
  const { genesis, signer, rules, chain, shares, releases, others, seal, now, onTrouble, onLost } = dependencies
  const pause = dependencies.pause ?? ((ms: number) => setTimeout(ms, undefined, { ref: false }))
  const ownId = (): Uint8Array | undefined => {
    const state = chain.contractState()
    const own = identityOfKey(state, signer.publicKey)
    return own?.identity.role === roles.node ? Uint8Array.from(own.id) : undefined
  }
  const open = createRequestGate({
    ...{ genesis, rules, now, ownId },
    isKnownKey: (key) => identityOfKey(chain.contractState(), key) !== undefined,
  })
  const look = createNoteMoves({ chain, shares, ownId, depositIdOf: (record) => depositIdOf(genesis, record) })
  const erasures = createErasureSweep({ ...dependencies, look }, options.erasure)
  const expire = createExpireDeposits(dependencies, options.expiry)
  const handing = createHandOver({ ...dependencies, ownId }, options.erasure)
  const keeper = createShareKeeper({ ...dependencies, erased }, options)
  const agree = createCustodianAgreement({ genesis, chain, others, rules, now, pause, ownId })
  const slots = createReleaseSlots(options)
  /** The chain was read once; what other nodes know is known here; what was due by then is destroyed. */
  let isRead = false
  let hasHeard = false
  let isReady = false
  let isClosed = false
  let timer: NodeJS.Timeout | undefined

  const sweeps = oneAtATime(async () => {
    await erasures.takeIn()
    isRead = true
    if (!hasHeard) return
    await erasures.carryOut()
    isReady = true
    await expire()
  })
  const moves = oneAtATime(handing.run)
  const follow = async (): Promise<void> => (isClosed ? undefined : sweeps.run())
  const hear = async (): Promise<void> => {
    await dependencies.caughtUp?.()
    hasHeard = true
  }
  const ready = async (): Promise<void> => {
    await hear()
    if (!isReady) await follow()
    // It was closed before it had read the chain.
    if (!isReady) throw new EmrError('cancelled')
  }
  const readyForFiles = async (): Promise<void> => {
    if (dependencies.isRestored) return ready()
    if (!isRead) await follow()
    if (!isRead) throw new EmrError('cancelled')
  }
  /** `record_erased` with the erasure's id. */
  async function erased(record: Uint8Array): Promise<EmrError> {
    if (!shares.erasures.get(record)) await follow()
    return erasedBy(shares.erasures.get(record))
  }

  /** The access within a request for a release, checked by itself. */
  function accessOf(bytes: Uint8Array): { access: Access; salt: Uint8Array; custodian: Uint8Array } {
    const { kind, body, from, to } = open(bytes)
    if (kind !== 'release') throw new EmrError('request_malformed', 'It asks for no release.')
    const access = decodeTransaction(body.access)
    if (access.kind !== 'access' || !equalBytes(access.from, from)) throw new EmrError('access_unfit')
    if (!equalBytes(access.chain.bytes, genesis.bytes)) throw new EmrError('other_network')
    checkSignatures(access, rules)
    return { access, salt: body.salt, custodian: to }
  }

  /** Has an access on disk here, and on its way to other nodes. */
  async function submit(access: Access): Promise<void> {
    try {
      await chain.submitTransaction(access.bytes)
    } catch (error) {
      // Known is not yet on disk: another call may be writing it.
      if (!isEmrError(error, 'transaction_known') || !(await chain.transaction(access.id))) throw error
    }
  }

  /** And on that of another node. @throws EmrError `access_unacknowledged` */
  async function submitToOthers(access: Access): Promise<void> {
    await submit(access)
    const signal = AbortSignal.timeout(ACKNOWLEDGE_TIME)
    const isAcknowledged = await others.isAcknowledged(access, signal).catch(() => false)
    if (!isAcknowledged) throw new EmrError('access_unacknowledged')
  }

  /** Whether an access is on the chain with effect. @throws EmrError `access_expired`, `release_denied` */
  function isCounted(access: Access, standing: Standing | undefined): boolean {
    const block = standing?.state === 'confirmed' ? standing.block : undefined
    if (now() - Math.max(access.at, block?.header.time ?? 0) > ACCESS_LIFETIME) throw new EmrError('access_expired')
    if (standing?.state !== 'confirmed') return false
    if (standing.result === codeOf('accepted')) return true
    const reason = nameOfCode(standing.result)
    throw new EmrError('release_denied', `The chain says ${reason}.`, { reason })
  }

  /** The conditions that this node can judge alone, as of now. */
  async function judged(access: Access, body: ConsentRecordBody) {
    const standing = await chain.transaction(access.id)
    const record = recordOf(chain.contractState(), access.body.record)
    if (record?.state === 2) throw await erased(access.body.record)
    const kept = shares.get(depositIdOf(genesis, body))
    // A record that the contract refused is on the chain too, and is none.
    if (!record) throw new EmrError('record_unknown')
    const own = ownId()
    if (!own) throw new EmrError('not_custodian')
    assertCustodianOf(chain, body.patient, own, now())
    if (!kept) throw new EmrError('share_unknown')
    const counted = isCounted(access, standing)
    return { kept, counted, allowed: assertAllowed(chain, access, { now: now(), isCounted: counted }) }
  }

  /** The same, and where uses are limited the access has to be on the chain. @throws EmrError `access_not_included` */
  async function judgedWhole(access: Access, body: ConsentRecordBody) {
    const found = await judged(access, body)
    if (found.allowed.isLimited && !found.counted) throw new EmrError('access_not_included')
    return found
  }

  /** The same; and that consent does not allow it gets to the chain, for the patient to see who tried. */
  async function judgedOnRecord(access: Access, body: ConsentRecordBody) {
    try {
      return await judged(access, body)
    } catch (error) {
      if (isEmrError(error, 'release_denied'))
        await submit(access).catch((why: unknown) => onLost(why, 'a denied access may not get to the chain'))
      throw error
    }
  }

  async function giveOut(
    { access, salt, custodian }: ReturnType<typeof accessOf>,
    slot: ReleaseSlot,
  ): Promise<Release> {
    const { record } = access.body
    const body = await recordBody(chain, record)
    const { asker, version, patient } = (await judgedOnRecord(access, body)).allowed
    if (!equalBytes(asker, patient)) slot.ofPatient(patient)
    const key = await sealKeyOf(chain, version)
    if (!key) throw new EmrError('access_unfit')
    const commitment = releaseCommitment(genesis, { record, seal: key, salt })
    if (!equalBytes(commitment, access.body.commitment)) throw new EmrError('access_unfit')
    await submitToOthers(access)
    await agree({ record, patient, asker })
    // The others may have told of a revocation meanwhile.
    const { kept } = await judgedWhole(access, body)
    const ids = { record, access: access.id.bytes, custodian }
    const { enc, ct } = await seal(key, { share: kept.share, label: kept.label }, { genesis: genesis.bytes, ...ids })
    const last = await judgedWhole(access, body)
    // A new key to receive with: the answer is for one that is no longer the asker's.
    if (!equalBytes(last.allowed.version, version)) throw new EmrError('access_unfit')
    const receipt = signReleaseReceipt({ chain: genesis, ...ids, asker, at: now() }, signer)
    await releases.put(ids, receipt)
    await others.announceRelease(receipt).catch((why: unknown) => onLost(why, 'a receipt of a release was not told on'))
    return { custodian, access: ids.access, enc, ct }
  }

  async function release(bytes: Uint8Array, record?: Uint8Array): Promise<Release> {
    await ready()
    const asked = accessOf(bytes)
    if (record && !equalBytes(record, asked.access.body.record)) throw new EmrError('access_unfit')
    const slot = slots.take(asked.access.from)
    try {
      return await giveOut(asked, slot)
    } finally {
      slot.free()
    }
  }

  return {
    async deposit(bytes) {
      await ready()
      const request = open(bytes)
      if (request.kind !== 'deposit') throw new EmrError('request_malformed', 'It is no deposit.')
      return keeper.deposit(request)
    },
    release,

    async takeOver(bytes) {
      await ready()
      const request = open(bytes)
      if (request.kind !== 'handover') throw new EmrError('request_malformed', 'It is no handover.')
      return keeper.takeOver(request)
    },
    handOver: async () => (isReady && !isClosed ? moves.run() : false),

    async view(bytes, from) {
      // What this node has not heard of yet, its word would be missing in an agreement.
      await ready()
      const { chain: asked, nonce, ...concern } = decodeViewQuestion(bytes)
      if (!asked.equals(genesis)) throw new EmrError('other_network')
      const sender = identityOfKey(chain.contractState(), from)
      if (!sender) throw new EmrError('request_unknown_key')
      const record = recordOf(chain.contractState(), concern.record)
      if (!record || !equalBytes(record.patient, concern.patient)) throw new EmrError('record_unknown')
      if (!isCustodianOf(chain, concern.patient, Uint8Array.from(sender.id)))
        throw new EmrError('not_custodian', 'The patient does not name the sender.')
      const { transactions } = withdrawalsOf(chain.contractState(), chain.pending(), concern, nextBlock(chain, now()))
      const found = transactions.map(({ id }) => id.bytes)
      // So many cannot be named; without a view nobody counts on this node.
      if (found.length > MAX_WITHDRAWALS) throw new EmrError('custody_busy')
      const withdrawals = found.sort(Buffer.compare)
      return signCustodianView({ chain: genesis, nonce, tip: chain.tip().id, withdrawals, at: now() }, signer)
    },

    takeReceipt: createTakeReceipt(dependencies),

    async assertNotErased(file) {
      await readyForFiles()
      const note = await erasureOfFile(chain, { get: shares.erasures.get, isInForce: erasures.isInForce }, file)
      if (note) throw erasedBy(note)
    },

    kept: () => ({ deposits: shares.count(), erasuresWaiting: erasures.waiting() }),
    releasesOf: (record, page) => releases.of(record, page).map(decodeReleaseReceipt),
    follow,

    async start() {
      await hear()
      if (isClosed) return
      timer = setInterval(() => void follow().catch(onTrouble), SWEEP_INTERVAL)
      timer.unref()
      await follow()
    },
    async close() {
      // First: what would begin from here on finds shares that are closed.
      isClosed = true
      clearInterval(timer)
      handing.close()
      await Promise.all([sweeps.settled(), moves.settled()])
      await erasures.saveProgress()
    },
  }
}

function erasedBy(note: ErasureNote | undefined): EmrError {
  const erasure = note ? chainCidAt(note.erasure, 0).toString() : null
  return new EmrError('record_erased', erasure ? `By the erasure ${erasure}.` : undefined, { erasure })
}

import { randomBytes } from 'node:crypto'
import type { CID } from 'multiformats/cid'
import { identityOf } from '../contract/rows.js'
import type { Signer } from '../crypto/ed25519.js'
import { EmrError, isEmrError } from '../errors.js'
import type { ShareMoves } from '../ledger/share-moves.js'
import type { Deposit, Shares } from '../ledger/shares.js'
import { equalBytes } from '../protocol/canonical.js'
import { chainCidAt } from '../protocol/cid.js'
import { decodeHandoverReceipt } from '../protocol/handover.js'
import { signPersonRequest } from '../protocol/person-request.js'
import { sealDeposit } from '../protocol/sealed-deposit.js'
import type { SignatureRules, SignedTransaction } from '../protocol/transaction.js'
import type { CustodyChain, KnownNode, OtherNodes } from './custody-dependencies.js'
import { depositIdOf } from './deposit-id.js'
import { type ErasureRules, isDue } from './erasure-sweep.js'
import { nextBlock, withdrawalsOf } from './pending-withdrawals.js'
import { recordsOfPatient } from './records-of.js'
import { sealKeyOf } from './share-keeper.js'

export interface HandOverDependencies {
  readonly genesis: CID
  readonly signer: Signer
  readonly rules: Pick<SignatureRules, 'verify'>
  readonly chain: CustodyChain
  readonly shares: Pick<Shares, 'get' | 'erase'> & { readonly moves: ShareMoves }
  readonly others: Pick<OtherNodes, 'handOver'>
  now(): number
  ownId(): Uint8Array | undefined
  /** Hears what could not be done now and will be tried again. */
  onTrouble(error: unknown): void
  onHandedOver?(): void
}

/** How long a custodian may take to acknowledge one share, in ms. */
const ANSWER_TIME = 10_000

/** A custodian that something is handed to. */
interface Heir extends KnownNode {
  readonly seal: Uint8Array
}
/** What became of the shares of one patient. */
interface Moved {
  /** Whether nothing is left to hand over. */
  readonly isComplete: boolean
  /** Deposits that this node need not keep. */
  readonly idle: readonly Uint8Array[]
}

/**
 * Hands what this node keeps for patients who have named other custodians to each of those, and destroys what all of
 * them have acknowledged where this node is none any more. It goes by the chain as it is: what a restart forgets of
 * acknowledgements is asked for again, which costs a message and changes nothing.
 *
 * @param rules when a version of an identity is deep enough to destroy something for
 */
export function createHandOver(dependencies: HandOverDependencies, depth: ErasureRules) {
  const { genesis, signer, rules, chain, shares, others, now, ownId, onTrouble } = dependencies
  const { moves } = shares
  const closing = new AbortController()
  /** By patient: the version that counts, and by deposit who has acknowledged it since. */
  const progress = new Map<string, { version: Uint8Array; acknowledged: Map<string, Set<string>> }>()

  function acknowledgedOf(patient: Uint8Array, version: Uint8Array): Map<string, Set<string>> {
    const known = progress.get(nameOf(patient))
    // Who has acknowledged under another version may have destroyed it since.
    if (known && equalBytes(known.version, version)) return known.acknowledged
    const acknowledged = new Map<string, Set<string>>()
    progress.set(nameOf(patient), { version, acknowledged })
    return acknowledged
  }

  async function heirsOf(custodians: readonly Uint8Array[], own: Uint8Array): Promise<Heir[]> {
    const heirs: Heir[] = []
    for (const id of custodians) {
      const identity = equalBytes(id, own) ? undefined : identityOf(chain.contractState(), id)
      const seal = identity && (await sealKeyOf(chain, identity.version))
      if (identity && seal) heirs.push({ id, key: Uint8Array.from(identity.key), seal })
    }
    return heirs
  }

  /** @throws EmrError `request_bad_signature` where the answer is no receipt of this handover, and what `others` throws */
  async function give(to: Heir, record: Uint8Array, deposit: Deposit): Promise<void> {
    const { enc, sealed, label } = await sealDeposit(genesis, deposit, to)
    const nonce = Uint8Array.from(randomBytes(16))
    const request = signPersonRequest(
      { chain: genesis, to: to.id, at: now(), nonce, kind: 'handover', body: { record, enc, sealed, label } },
      signer,
    )
    const signal = AbortSignal.any([closing.signal, AbortSignal.timeout(ANSWER_TIME)])
    const { fields, claim } = decodeHandoverReceipt(await others.handOver(to, request, signal))
    const isOfThis =
      fields.chain.equals(genesis) && equalBytes(fields.record, record) && equalBytes(fields.nonce, nonce)
    if (!isOfThis || !equalBytes(fields.key, to.key) || !rules.verify(claim.signature, claim.message, claim.key))
      throw new EmrError('request_bad_signature', 'It is no receipt of this handover.')
  }

  async function move(patient: Uint8Array, isAway: Set<string>): Promise<Moved> {
    const own = ownId()
    const identity = identityOf(chain.contractState(), patient)
    // Nobody is there to take it; the next version may name somebody.
    if (!own || !identity || identity.custodians.length === 0) return { isComplete: false, idle: [] }
    const version = Uint8Array.from(identity.version)
    const custodians = identity.custodians.map((id) => Uint8Array.from(id))
    const isOne = custodians.some((id) => equalBytes(id, own))
    const heirs = await heirsOf(custodians, own)
    let isComplete = heirs.length === custodians.length - (isOne ? 1 : 0)
    const all = acknowledgedOf(patient, version)
    const idle: Uint8Array[] = []

    for await (const { id: record, body, isErased } of recordsOfPatient(chain, patient)) {
      if (closing.signal.aborted) return { isComplete: false, idle: [] }
      const deposit = depositIdOf(genesis, body)
      const kept = isErased ? undefined : shares.get(deposit)
      if (!kept) continue
      if (isErasurePending(record, patient)) {
        isComplete = false
        continue
      }
      const acknowledged = all.get(nameOf(deposit)) ?? new Set<string>()
      all.set(nameOf(deposit), acknowledged)
      const lacking = heirs.filter(({ id }) => !acknowledged.has(nameOf(id)) && !isAway.has(nameOf(id)))
      const given = await Promise.allSettled(lacking.map((heir) => give(heir, record, kept)))
      for (const [at, outcome] of given.entries()) {
        const heir = lacking[at]
        if (!heir) continue
        if (outcome.status === 'fulfilled') {
          acknowledged.add(nameOf(heir.id))
          dependencies.onHandedOver?.()
        } else {
          // Nobody waits once more for each further share.
          if (!isOfRecord(outcome.reason)) isAway.add(nameOf(heir.id))
          onTrouble(outcome.reason)
        }
      }
      if (acknowledged.size < heirs.length) isComplete = false
      else if (!isOne) idle.push(deposit)
    }

    // A block that loses must not leave the patient without custodians.
    const isDeep = isOne || isDue(await chain.transaction(chainCidAt(version, 0)), depth, now())
    const latest = identityOf(chain.contractState(), patient)?.version
    const isStill = latest !== undefined && equalBytes(latest, version)
    return isComplete && isDeep && isStill ? { isComplete, idle } : { isComplete: false, idle: [] }
  }

  /** One that the contract accepts: others can be sent by anybody. */
  function isErasurePending(record: Uint8Array, patient: Uint8Array): boolean {
    const isOne = (one: SignedTransaction): boolean => one.kind === 'erasure' && equalBytes(one.body.record, record)
    const pending = [...chain.pending()]
    if (!pending.some(isOne)) return false
    const concern = { record, patient, asker: patient }
    return withdrawalsOf(chain.contractState(), pending, concern, nextBlock(chain, now())).transactions.some(isOne)
  }

  return {
    /** Does what can be done now. Whether nothing is left. One at a time; the caller sees to that. */
    async run(): Promise<boolean> {
      let isComplete = true
      const isAway = new Set<string>()
      for (const one of moves.all()) {
        if (closing.signal.aborted) return false
        try {
          const moved = await move(one.patient, isAway)
          if (moved.idle.length > 0) await shares.erase(moved.idle)
          if (moved.isComplete) {
            progress.delete(nameOf(one.patient))
            await moves.remove(one)
          } else isComplete = false
        } catch (error) {
          isComplete = false
          onTrouble(error)
        }
      }
      return isComplete
    },
    close: () => closing.abort(),
  }
}

/** What another custodian says of one record; it may take the next. */
const isOfRecord = (error: unknown): boolean =>
  isEmrError(error) && (error.facts.refusal === 'record_unknown' || error.facts.refusal === 'record_erased')

const nameOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1')

import type { CID } from 'multiformats/cid'
import { identityOfKey } from '../contract/actor.js'
import { identityOf, pairOf, recordOf } from '../contract/rows.js'
import { tables } from '../contract/state.js'
import type { Signer } from '../crypto/ed25519.js'
import { EmrError, isEmrError } from '../errors.js'
import type { ErasureNote, ReadBlock } from '../ledger/erasure-notes.js'
import type { Shares } from '../ledger/shares.js'
import { isConsentRecord } from '../protocol/bodies/record.js'
import { equalBytes } from '../protocol/canonical.js'
import { chainCidAt } from '../protocol/cid.js'
import { erasedParts, roles } from '../protocol/consent-vocabulary.js'
import { fileOf, type SignedTransaction, signTransaction } from '../protocol/transaction.js'
import type { CustodyChain, ErasableFiles, Standing } from './custody-dependencies.js'
import { depositIdOf } from './deposit-id.js'

export interface ErasureRules {
  /** Blocks on an erasure, its own counted, after which it is carried out. */
  readonly confirmations: number
  /** Or so many ms after the time of its block. */
  readonly delay: number
}
export const DEFAULT_ERASURE_RULES: ErasureRules = { confirmations: 6, delay: 24 * 3_600_000 }

export interface ErasureSweepDependencies {
  readonly genesis: CID
  readonly signer: Signer
  readonly chain: CustodyChain
  readonly shares: Pick<Shares, 'get' | 'claim' | 'erase' | 'erasures'>
  readonly files: ErasableFiles
  /** Looks at each transaction of the main chain as well. */
  look(transaction: SignedTransaction): Promise<void>
  now(): number
  /** Hears what could not be done now and will be tried again. */
  onTrouble(error: unknown): void
}

/** Whether what stands on the main chain is deep enough, or long enough there, to destroy something for it. */
export const isDue = (standing: Standing | undefined, { confirmations, delay }: ErasureRules, now: number): boolean =>
  standing?.state === 'confirmed' &&
  (standing.confirmations >= confirmations || now - standing.block.header.time >= delay)

/** Blocks that are read before the progress is written down. What is read again does no harm. */
const PROGRESS_EVERY = 64
/** Blocks next to the tip that the progress names one by one; farther ones at growing distances. */
const NEAR = 16

/**
 * Reads the chain for records whose deposits waited and for erasures, and carries erasures out: share and label first,
 * then the ciphertext, then a signed receipt on the chain. Each step is noted; one that fails is tried again.
 */
export function createErasureSweep(dependencies: ErasureSweepDependencies, rules = DEFAULT_ERASURE_RULES) {
  const { genesis, signer, chain, shares, files, now, onTrouble } = dependencies
  const notes = shares.erasures
  const isOpen = ({ step }: ErasureNote): boolean => step !== 'receipted'
  /** Notes of which something is left to do, by record. */
  const open = new Map(
    notes
      .all()
      .filter(isOpen)
      .map((one) => [nameOf(one), one]),
  )
  /** Carried out in the run before this one, or by the process before. */
  let late = notes.all().filter(({ step }) => step === 'destroyed' || step === 'receipted')
  let read: ReadBlock[] = [...notes.progress()]
  let unsaved = 0

  async function save(one: ErasureNote): Promise<void> {
    await notes.put(one)
    if (isOpen(one)) open.set(nameOf(one), one)
    else open.delete(nameOf(one))
  }

  async function saveProgress(): Promise<void> {
    if (unsaved === 0) return
    unsaved = 0
    await notes.setProgress(read)
  }

  async function readChain(): Promise<void> {
    for (;;) {
      read = read.slice(firstOnChain(read, chain))
      const [last] = read
      const height = (last?.height ?? 0) + 1
      const block = height <= chain.tip().height ? await chain.blockAt(height) : undefined
      if (!block) return
      for (const transaction of block.transactions) {
        await look(transaction)
        await dependencies.look(transaction)
      }
      read = thinned([{ height, id: block.header.id }, ...read])
      if (++unsaved >= PROGRESS_EVERY) await saveProgress()
    }
  }

  async function look(transaction: SignedTransaction): Promise<void> {
    const state = chain.contractState()
    if (transaction.kind === 'record' && isConsentRecord(transaction.body)) {
      if (recordOf(state, transaction.id.bytes)) await shares.claim(depositIdOf(genesis, transaction.body))
    } else if (transaction.kind === 'erasure' && state.get(tables.erasures, transaction.id.bytes)) {
      await note(transaction.id.bytes, transaction.body.record)
    }
  }

  async function note(erasure: Uint8Array, record: Uint8Array): Promise<void> {
    const known = notes.get(record)
    if (known && equalBytes(known.erasure, erasure)) return
    if (known) {
      // The one before was on a branch that lost; what was destroyed for it is gone, and is said for this one.
      await save({ ...known, erasure, step: known.step === 'receipted' ? 'destroyed' : known.step })
      return
    }
    const standing = await chain.transaction(chainCidAt(record, 0))
    // The chain moved while it was read; the next sweep reads the block again.
    if (standing?.transaction.kind !== 'record') throw new EmrError('transaction_unknown')
    if (!isConsentRecord(standing.transaction.body)) return
    const { body } = standing.transaction
    await save({ record, erasure, deposit: depositIdOf(genesis, body), file: body.file, step: 'noted', parts: 0 })
  }

  /** Whether the erasure stands on the main chain. After a branch lost it is pending again, and freezes. */
  const stands = ({ erasure }: ErasureNote): boolean =>
    chain.contractState().get(tables.erasures, erasure) !== undefined

  const isTime = async ({ erasure }: ErasureNote): Promise<boolean> =>
    isDue(await chain.transaction(chainCidAt(erasure, 0)), rules, now())

  async function begin(one: ErasureNote): Promise<ErasureNote> {
    const parts = shares.get(one.deposit) ? erasedParts.share | erasedParts.label : 0
    const begun: ErasureNote = { ...one, step: 'destroying', parts }
    await save(begun)
    return begun
  }

  /**
   * From the note on no file is fetched for long, so what is here now is all; before it one may still come. That it was here
   * is noted before it goes, for the receipt.
   */
  async function destroyFile(one: ErasureNote): Promise<ErasureNote> {
    if (!(await files.holds(one.file))) return one
    const found = { ...one, parts: one.parts | erasedParts.ciphertext }
    if (found.parts !== one.parts) await save(found)
    await files.destroy(one.file)
    return found
  }

  /** A fetch that ended, or broke off, while its file was destroyed may have left it, so it is looked for once more. */
  async function destroyLate(): Promise<void> {
    const looked = late
    late = []
    for (const one of looked) {
      try {
        if (stands(one) && !isFilePending(one.file) && (await files.holds(one.file))) await files.destroy(one.file)
      } catch (error) {
        late.push(one)
        onTrouble(error)
      }
    }
  }

  /** Whether a record that waits for its block brings the file anew. */
  const isFilePending = (file: Uint8Array): boolean =>
    [...chain.pending()].some((one) => {
      const named = fileOf(one)
      return named !== undefined && equalBytes(named, file)
    })

  async function destroyDue(): Promise<void> {
    await destroyLate()
    const going: ErasureNote[] = []
    for (const one of open.values()) {
      if (!stands(one)) continue
      if (one.step === 'destroying') going.push(one)
      else if (one.step === 'noted' && (await isTime(one))) going.push(await begin(one))
    }
    // One new key for all of them.
    const held = going.filter(({ parts }) => (parts & erasedParts.share) !== 0)
    if (held.length > 0) await shares.erase(held.map(({ deposit }) => deposit))
    for (const one of going) {
      try {
        const destroyed: ErasureNote = { ...(await destroyFile(one)), step: 'destroyed' }
        await save(destroyed)
        late.push(destroyed)
      } catch (error) {
        onTrouble(error)
      }
    }
  }

  async function giveReceipts(): Promise<void> {
    for (const one of open.values()) {
      if (one.step !== 'destroyed' || !stands(one)) continue
      const state = chain.contractState()
      const own = identityOfKey(state, signer.publicKey)
      const isGiven = own && state.get(tables.erasureReceipts, pairOf(one.erasure, own.id))
      if (isGiven || one.parts === 0) await save({ ...one, step: 'receipted' })
      else if (own && identityOf(state, own.id)?.role === roles.node && !isReceiptPending(one)) {
        const body = { erasure: one.erasure, parts: one.parts }
        const { bytes } = signTransaction({ kind: 'erasure_receipt', chain: genesis, at: now(), body }, signer)
        try {
          await chain.submitTransaction(bytes)
        } catch (error) {
          if (!isEmrError(error, 'transaction_known')) onTrouble(error)
        }
      }
    }
  }

  const isReceiptPending = ({ erasure }: ErasureNote): boolean =>
    [...chain.pending()].some(
      (one) =>
        one.kind === 'erasure_receipt' &&
        equalBytes(one.body.erasure, erasure) &&
        equalBytes(one.from, signer.publicKey),
    )

  return {
    /** Takes in what is new on the chain. This and `carryOut` run one at a time; the caller sees to that. */
    takeIn: readChain,
    /** Does what is due, by what was taken in. */
    async carryOut(): Promise<void> {
      await destroyDue()
      await giveReceipts()
    },
    /** Whether an erasure has begun to be carried out here, or is due. */
    isInForce: async (one: ErasureNote): Promise<boolean> =>
      one.step !== 'noted' || (stands(one) && (await isTime(one))),
    /** Erasures of the chain of which something is left to do. */
    waiting: (): number => [...open.values()].filter(stands).length,
    saveProgress,
  }
}

const nameOf = ({ record }: ErasureNote): string => Buffer.from(record).toString('latin1')

/** Position of the newest block that is still on the main chain; the length where there is none. */
function firstOnChain(blocks: readonly ReadBlock[], chain: Pick<CustodyChain, 'isOnMainChain'>): number {
  const at = blocks.findIndex(({ id }) => chain.isOnMainChain(id))
  return at === -1 ? blocks.length : at
}

/** Fewer of those that are far from the newest: at a distance of 16 every second height, of 32 every fourth, and so on. */
function thinned(blocks: readonly ReadBlock[]): ReadBlock[] {
  const newest = blocks[0]?.height ?? 0
  return blocks.filter(({ height }) => {
    const distance = newest - height
    return distance < NEAR || height % 2 ** Math.floor(Math.log2(distance / (NEAR / 2))) === 0
  })
}

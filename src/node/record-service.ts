import type { CID } from 'multiformats/cid'
import type { Signer } from '../crypto/ed25519.js'
import { EmrError, isEmrError } from '../errors.js'
import type { Ledger } from '../ledger/ledger.js'
import type { Match } from '../ledger/lookup-table.js'
import type { Mempool } from '../mempool/mempool.js'
import type { Section } from '../protocol/block.js'
import { isLabelText, MAX_LABEL_BYTES } from '../protocol/bodies/record.js'
import { encodeCar } from '../protocol/car.js'
import type { NetworkParameters } from '../protocol/network-parameters.js'
import { TRANSACTIONS_PER_ANSWER_BYTES } from '../protocol/peer-messages.js'
import {
  clearLabelForbidden,
  clearLabelOf,
  decodeTransaction,
  type SignedTransaction,
  signRecord,
} from '../protocol/transaction.js'
import { fileKey, nameKey, userNameKey } from './block-facts.js'
import type { FileService } from './file-service.js'
import type { RecordOnChain, TransactionStatus } from './record-on-chain.js'

/** How many records of one name are looked through for the newest of each user. */
export const MAX_MATCHES = 256

export interface RecordServiceDependencies {
  readonly network: NetworkParameters
  readonly genesis: CID
  readonly signer: Signer
  readonly ledger: Pick<Ledger, 'newest' | 'confirmation' | 'readSection' | 'tip'>
  readonly mempool: Mempool
  readonly files: Pick<FileService, 'describe'>
  now(): number
  /** A transaction was accepted; `from` names the peer that it came from. Resolves when the others know it. */
  onAccepted(transaction: SignedTransaction, from?: string): Promise<void>
}

export interface Submitted {
  readonly transaction: SignedTransaction
  readonly told: Promise<void>
}

/** Records: into the mempool, and back from the chain. */
export interface RecordService {
  /** Takes a transaction, as `Mempool.add` does. `told` resolves when the peers know of it. */
  submit(given: Uint8Array | SignedTransaction, from?: string): Promise<Submitted>
  add(
    record: { user_id: string; EHR_name: string; file: CID },
    signal: AbortSignal,
  ): Promise<Submitted & { nextIndex: number }>
  find(query: { name: string; user_id?: string }): Promise<RecordOnChain[]>
  status(id: CID): Promise<TransactionStatus | undefined>
  /** A transaction that is on disk, pending or on the chain; nothing is read where either is new. */
  transaction(id: CID): Promise<SignedTransaction | undefined>
  /**
   * Those of these transactions that are pending or on the chain, in this order, as many as one answer takes.
   *
   * @throws EmrError `transaction_unknown` where there is none of them
   */
  asCar(ids: readonly CID[]): Promise<Uint8Array>
  /** The file name that the newest record of a file gives it. */
  nameOf(file: CID): Promise<string | undefined>
}

export function createRecordService(dependencies: RecordServiceDependencies): RecordService {
  const { network, genesis, signer, ledger, mempool, files, now, onAccepted } = dependencies

  const submit = async (given: Uint8Array | SignedTransaction, from?: string): Promise<Submitted> =>
    accepted(await mempool.add(given, from), from)
  const accepted = (transaction: SignedTransaction, from?: string): Submitted => ({
    transaction,
    told: onAccepted(transaction, from),
  })

  async function onChain(match: Match): Promise<RecordOnChain> {
    const { id, block, height, time } = match
    // The section was checked against its id when it was read.
    const transaction = decodeTransaction(await ledger.readSection(id, match), id)
    return {
      transaction,
      block: { header: { id: block, height, time } },
      confirmations: ledger.tip().height - height + 1,
    }
  }
  async function status(id: CID): Promise<TransactionStatus | undefined> {
    const pending = mempool.get(id)
    if (pending) return { state: 'pending', transaction: pending }
    const place = ledger.confirmation(id)
    return place && { state: 'confirmed', ...(await onChain(place)) }
  }

  const transaction = async (id: CID): Promise<SignedTransaction | undefined> =>
    mempool.recall(id) ?? (await status(id))?.transaction

  return {
    submit,
    status,
    transaction,

    async add({ user_id, EHR_name, file }, signal) {
      if (!network.clearLabels) throw clearLabelForbidden(network)
      // Encoding would put another character in the place of half a one, and so record what nobody said.
      if (!isLabelText(user_id) || !isLabelText(EHR_name)) {
        throw new EmrError('transaction_malformed', `Label texts have 1 to ${MAX_LABEL_BYTES} bytes.`)
      }
      const { name, size } = await files.describe(file, signal)
      const label = { user_id, EHR_name, file_name: name ?? EHR_name, size }
      for (let at = now(); ; at++) {
        const signed = signRecord({ chain: genesis, at, body: { file: file.bytes, label } }, signer)
        try {
          return { ...accepted(await mempool.addOwn(signed)), nextIndex: ledger.tip().height + 2 }
        } catch (error) {
          // Two equal requests within a millisecond are two records, as in the prototype.
          if (!isEmrError(error, 'transaction_known')) throw error
        }
      }
    },

    async find({ name, user_id }) {
      if (user_id !== undefined) {
        const [newest] = ledger.newest(userNameKey(user_id, name), { limit: 1 })
        return newest ? [await onChain(newest)] : []
      }
      const users = new Set<string>()
      const found: RecordOnChain[] = []
      for (const match of ledger.newest(nameKey(name), { limit: MAX_MATCHES })) {
        const record = await onChain(match)
        const user = clearLabelOf(record.transaction)?.user_id
        if (user === undefined || users.has(user)) continue
        users.add(user)
        found.push(record)
      }
      return found
    },

    async asCar(ids) {
      const sections: Section[] = []
      for (let at = 0, bytes = 0; at < ids.length && bytes < TRANSACTIONS_PER_ANSWER_BYTES; at++) {
        const id = ids[at]
        const found = id && (await transaction(id))
        if (!found) continue
        sections.push({ cid: found.id, bytes: found.bytes })
        bytes += found.bytes.length
      }
      if (sections.length === 0) throw new EmrError('transaction_unknown')
      return encodeCar([], sections)
    },

    async nameOf(file) {
      const [newest] = ledger.newest(fileKey(file.bytes), { limit: 1 })
      const record = newest && (await onChain(newest))
      return record && clearLabelOf(record.transaction)?.file_name
    },
  }
}

import { isEmrError } from '../errors.js'
import { parseFileCid } from '../protocol/cid.js'
import type { BlockPlace } from './node-answers.js'
import type { NodeClient } from './node-client.js'
import type { FileKey, Wallet } from './wallet.js'

/** Where the record of a file stands: in a block, waiting for one, or not on the chain at all. */
export type RecordState =
  | {
      readonly state: 'confirmed'
      readonly block: BlockPlace
      readonly confirmations: number
      readonly transaction: string
    }
  | { readonly state: 'pending'; readonly transaction: string }
  | { readonly state: 'unrecorded' }

export interface ListedRecord {
  readonly fileKey: FileKey
  readonly record: RecordState
}

type Client = Pick<NodeClient, 'status' | 'findFile' | 'pendingTransactions' | 'transaction' | 'blocks'>

/** Blocks looked at in one go, from the tip back. */
const PAGE = 256

/**
 * The files of the wallet that belong to the network of the node, oldest first, each with its newest record. Records
 * without a label, and those behind a newer one of the same name, are searched in the chain, from its end.
 */
export async function listRecords(
  wallet: Wallet,
  { client, signal }: { client: Client; signal?: AbortSignal | undefined },
): Promise<ListedRecord[]> {
  const { genesis } = await client.status({ signal })
  const files = wallet.files.filter(({ network }) => network === genesis)
  const wanted = new Set(files.map(({ cid }) => normal(cid)))
  const found = new Map<string, RecordState>()
  const note = (cid: string, state: RecordState): void => {
    if (wanted.delete(normal(cid))) found.set(normal(cid), state)
  }

  for (const name of new Set(files.map((file) => file.name))) {
    for (const match of await matchesOf(client, name, signal)) {
      const { block, confirmations, transaction } = match
      note(match['File info'].Hash, { state: 'confirmed', block, confirmations, transaction })
    }
  }
  await notePending(client, wanted, note, signal)

  if (wanted.size > 0) await noteFromChain(client, wanted, note, signal)
  return files.map((fileKey) => ({
    fileKey,
    record: found.get(normal(fileKey.cid)) ?? { state: 'unrecorded' },
  }))
}

async function matchesOf(client: Client, name: string, signal: AbortSignal | undefined) {
  try {
    const found = await client.findFile({ name }, { signal })
    return found.matches ?? [found]
  } catch (error) {
    if (isEmrError(error, 'file_unknown')) return []
    throw error
  }
}

async function notePending(
  client: Client,
  wanted: ReadonlySet<string>,
  note: (cid: string, state: RecordState) => void,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (wanted.size === 0) return
  for (const id of (await client.pendingTransactions({ signal })).reverse()) {
    if (wanted.size === 0) return
    try {
      const { state, transaction } = await client.transaction(id, { signal })
      if (state === 'pending' && transaction.ipfs_hash !== null) note(transaction.ipfs_hash, { state, transaction: id })
    } catch (error) {
      // It went into a block, or away, since the list was made.
      if (!isEmrError(error, 'transaction_unknown')) throw error
    }
  }
}

async function noteFromChain(
  client: Client,
  wanted: ReadonlySet<string>,
  note: (cid: string, state: RecordState) => void,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { tip } = await client.status({ signal })
  for (let to = tip.index; to > 1 && wanted.size > 0; to -= PAGE) {
    const page = []
    for await (const block of client.blocks({ from: Math.max(2, to - PAGE + 1), to }, { signal })) page.push(block)
    for (const { index, hash, timestamp, transactions } of page.reverse()) {
      const confirmations = tip.index - index + 1
      for (const { ipfs_hash, id } of transactions.reverse()) {
        if (ipfs_hash !== null)
          note(ipfs_hash, { state: 'confirmed', block: { index, hash, timestamp }, confirmations, transaction: id })
      }
    }
  }
}

/** One text for all the CIDs of a file. */
const normal = (cid: string): string => parseFileCid(cid).toV1().toString()

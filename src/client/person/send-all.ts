import type { SignedTransaction } from '../../protocol/transaction.js'
import type { PersonSession, SendOptions, SentTransaction } from './person-session.js'

/** What was sent as one deed: the first transaction of it, and the others. */
export interface SentParts extends SentTransaction {
  readonly parts: readonly SentTransaction[]
}

/**
 * Hands in transactions in their order; with `mine` one block is mined behind the last.
 *
 * @returns what the contract says to each when all are in
 * @throws EmrError what the node refuses with; those before are in then
 */
export async function sendAll(
  { client, signal }: Pick<PersonSession, 'client' | 'signal'>,
  transactions: readonly Pick<SignedTransaction, 'bytes'>[],
  { mine = false, onSent }: SendOptions = {},
): Promise<SentTransaction[]> {
  const ids: string[] = []
  for (const { bytes } of transactions) {
    ids.push(await client.submitTransaction(bytes, { signal }))
    onSent?.(ids.length, transactions.length)
  }
  if (mine && ids.length > 0) await client.mine({ signal })
  const sent: SentTransaction[] = []
  for (const id of ids) {
    const { state, result } = await client.transaction(id, { signal })
    sent.push({ id, state, result })
  }
  return sent
}

/** The same of one deed; of at least one transaction. */
export async function sendParts(...deed: Parameters<typeof sendAll>): Promise<SentParts> {
  const [first, ...parts] = await sendAll(...deed)
  if (!first) throw new TypeError('Nothing was to be sent.')
  return { ...first, parts }
}

import type { CID } from 'multiformats/cid'
import { EmrError } from '../errors.js'
import { type Block, hashResults } from '../protocol/block.js'
import { equalBytes } from '../protocol/canonical.js'
import { idKey } from '../protocol/cid.js'
import type { NetworkParameters } from '../protocol/network-parameters.js'
import { checkSignatures, checkTerms, MAX_TIME_AHEAD, type SignatureRules } from '../protocol/transaction.js'

/** What a block's transactions are checked against. */
export interface BodyContext {
  readonly network: NetworkParameters
  readonly genesis: CID
  readonly rules: SignatureRules
  /** Whether keys and signatures of the transaction with this id, which stands for its bytes, were found good before. */
  isVerified?(id: CID): boolean
  /** Whether an ancestor of the block holds this transaction. */
  isOnBranch(id: CID): boolean
  /** Result codes of the transactions by the contract, one byte each. */
  resultsOf(block: Block): Uint8Array
}

/**
 * The rules for the transactions of a block whose header holds (docs/protocol.md, "Rules for blocks").
 * They are about what the block's id commits to: a block that breaks one is invalid for ever.
 *
 * @throws EmrError with the code of the rule that is broken
 */
export function checkBody(block: Block, context: BodyContext): void {
  const { network, genesis, rules } = context
  const { header, transactions } = block
  if (transactions.length > network.maxBlockTransactions) {
    throw new EmrError('block_too_large', undefined, { transactions: transactions.length })
  }
  const size = transactions.reduce((sum, { bytes }) => sum + bytes.length, 0)
  if (size > network.maxBlockBytes) throw new EmrError('block_too_large', undefined, { bytes: size })
  const seen = new Set<string>()
  for (const transaction of transactions) {
    const { id } = transaction
    const key = idKey(id)
    if (seen.has(key) || context.isOnBranch(id)) {
      throw new EmrError('block_duplicate_transaction', undefined, { transaction: id.toString() })
    }
    seen.add(key)
    if (transaction.at > header.time + MAX_TIME_AHEAD) {
      throw new EmrError('block_transaction_from_future', undefined, { transaction: id.toString() })
    }
    checkTerms(transaction, network, genesis)
    if (!context.isVerified?.(id)) checkSignatures(transaction, rules)
  }
  if (!equalBytes(header.results, hashResults(context.resultsOf(block)))) throw new EmrError('block_wrong_results')
}

import type { CID } from 'multiformats/cid'
import { checkBody } from '../consensus/check-body.js'
import { checkHeader } from '../consensus/check-header.js'
import { workOf } from '../consensus/difficulty.js'
import { type BranchEnd, isPreferred } from '../consensus/fork-choice.js'
import { mayMine } from '../contract/may-mine.js'
import { EmrError, type ErrorCode } from '../errors.js'
import type { Block } from '../protocol/block.js'
import type { IdentifiedHeader } from '../protocol/header.js'
import type { NetworkParameters } from '../protocol/network-parameters.js'
import type { SignatureRules } from '../protocol/transaction.js'
import { createStateTree } from './state-tree.js'

export interface VerifyDependencies {
  readonly network: NetworkParameters
  readonly genesis: IdentifiedHeader
  readonly rules: SignatureRules
  /** Clock of this node, in ms since 1970. */
  now(): number
  /** Called after each block that holds. */
  onBlock?(height: number): void
}

/** What a chain that holds consists of. */
export interface VerifiedChain {
  /** Blocks of all branches, genesis not counted. */
  readonly blocks: number
  readonly transactions: number
  readonly tip: BranchEnd & { height: number }
}

/** The block that a check ended at, beside the code of the rule that it breaks. */
export class InvalidBlock extends EmrError {
  readonly height: number

  constructor(height: number, code: ErrorCode, detail: string) {
    super(code, `Block ${height + 1}: ${detail}`, { height })
    this.height = height
  }
}

interface Checked {
  readonly header: IdentifiedHeader
  readonly work: bigint
}

/**
 * Checks blocks again from genesis by every rule, with no memory of an earlier check and no index.
 *
 * @param blocks parents before children, of any number of branches
 * @throws InvalidBlock at the first block that breaks a rule
 */
export async function verifyChain(blocks: AsyncIterable<Block>, deps: VerifyDependencies): Promise<VerifiedChain> {
  const { network, genesis, rules, now } = deps
  const checked = new Map<string, Checked>([[genesis.id.toString(), { header: genesis, work: 0n }]])
  const states = createStateTree(genesis, network)
  const holders = new Map<string, IdentifiedHeader[]>()
  let tip: Checked = { header: genesis, work: 0n }
  let transactions = 0

  const isAncestor = (ancestor: IdentifiedHeader, of: IdentifiedHeader): boolean => {
    let at: IdentifiedHeader | undefined = of
    while (at && at.height > ancestor.height) at = checked.get(at.parent.toString())?.header
    return at?.id.equals(ancestor.id) ?? false
  }

  for await (const block of blocks) {
    const { header } = block
    try {
      const parent = checked.get(header.parent.toString())
      if (!parent) throw new EmrError('header_unknown_parent')
      checkHeader(block, parent.header, { network, rules, now: now() })
      const isOnBranch = (id: CID): boolean =>
        (holders.get(id.toString()) ?? []).some((holder) => isAncestor(holder, parent.header))
      if (!mayMine(states.after(parent.header), header.miner, header.time))
        throw new EmrError('block_miner_not_admitted')
      checkBody(block, { network, genesis: genesis.id, rules, isOnBranch, resultsOf: states.add })
      const end = { header, work: parent.work + workOf(header.target) }
      checked.set(header.id.toString(), end)
      for (const { id } of block.transactions) {
        holders.set(id.toString(), [...(holders.get(id.toString()) ?? []), header])
      }
      transactions += block.transactions.length
      if (isPreferred({ id: header.id, work: end.work }, { id: tip.header.id, work: tip.work })) tip = end
    } catch (error) {
      if (error instanceof EmrError) throw new InvalidBlock(header.height, error.code, error.message)
      throw error
    }
    deps.onBlock?.(header.height)
  }
  return {
    blocks: checked.size - 1,
    transactions,
    tip: { id: tip.header.id, work: tip.work, height: tip.header.height },
  }
}

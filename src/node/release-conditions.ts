import { identityOfKey } from '../contract/actor.js'
import { decide, isRevoked } from '../contract/decide.js'
import { codeOf, nameOfCode } from '../contract/result-codes.js'
import { grantOf, identityOf, recordOf } from '../contract/rows.js'
import type { ReadState } from '../contract/state.js'
import { EmrError } from '../errors.js'
import type { AccessBody } from '../protocol/bodies/access.js'
import { equalBytes } from '../protocol/canonical.js'
import type { SignedTransaction } from '../protocol/transaction.js'
import type { CustodyChain } from './custody-dependencies.js'
import { nextBlock, withdrawalsOf } from './pending-withdrawals.js'

/** An access under its author's key. */
export type Access = SignedTransaction & { readonly kind: 'access'; readonly body: AccessBody }

/** Who asks, and what the answer depends on. */
export interface Allowed {
  /** Identity of the asker, and the id of its current version. */
  readonly asker: Uint8Array
  readonly version: Uint8Array
  readonly patient: Uint8Array
  /** Whether the named grant can be used up: then the access has to be on the chain first. */
  readonly isLimited: boolean
}

function denied(code: number): EmrError {
  const reason = nameOfCode(code)
  return new EmrError('release_denied', `The reason: ${reason}.`, { reason })
}

/**
 * Whether consent allows an access now: by the chain at the later of tip time and this node's clock, and by the chain
 * with all pending withdrawals in effect. What is pending only takes away.
 *
 * @param isCounted the access itself is on the chain with effect, so that a grant that is used up was so by it
 * @throws EmrError `record_unknown`, `record_erased`, `release_frozen`, `release_denied`
 */
export function assertAllowed(
  chain: Pick<CustodyChain, 'contractState' | 'tip' | 'pending'>,
  { body, from }: Pick<Access, 'body' | 'from'>,
  { now, isCounted }: { now: number; isCounted: boolean },
): Allowed {
  const state = chain.contractState()
  const block = nextBlock(chain, now)
  const { time } = block
  const record = recordOf(state, body.record)
  if (!record) throw new EmrError('record_unknown')
  if (record.state === 2) throw new EmrError('record_erased')
  const author = identityOfKey(state, from)
  if (!author) throw denied(codeOf('unknown_author'))

  const question = { ...body, accessor: author.id }
  const codeIn = (of: ReadState): number => {
    const code = decide(of, question, time)
    return isCounted && code === codeOf('used_up') ? codeOf('accepted') : code
  }
  const concern = { record: body.record, patient: record.patient, asker: author.id }
  const { transactions: withdrawals, after } = withdrawalsOf(state, chain.pending(), concern, block)
  const frozen = (): EmrError => new EmrError('release_frozen', frozenDetail(withdrawals))
  if (recordOf(after, body.record)?.state === 2) throw frozen()
  const [grant, grantAfter] = body.grant ? [grantOf(state, body.grant), grantOf(after, body.grant)] : []
  if (grant && grantAfter && !isRevoked(state, grant) && isRevoked(after, grantAfter)) throw frozen()
  const code = codeIn(state)
  if (code !== 0) throw denied(code)
  const authorAfter = identityOfKey(after, from)
  if (!authorAfter || codeIn(after) !== 0) throw frozen()

  const isOwn = equalBytes(author.id, record.patient)
  return {
    asker: Uint8Array.from(author.id),
    version: Uint8Array.from(identityOf(state, author.id)?.version ?? author.id),
    patient: Uint8Array.from(record.patient),
    isLimited: !isOwn && grant !== undefined && grant.uses > 0,
  }
}

/** The id of the erasure, if one is among them: it says why. */
function frozenDetail(withdrawals: readonly SignedTransaction[]): string {
  const erasure = withdrawals.find(({ kind }) => kind === 'erasure')
  const one = erasure ?? withdrawals.at(-1)
  return one ? `It waits for ${one.kind} ${one.id.toString()}.` : ''
}

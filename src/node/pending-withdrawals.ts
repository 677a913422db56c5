import { apply, type BlockPlace } from '../contract/apply.js'
import { codeOf } from '../contract/result-codes.js'
import { certificateOf } from '../contract/rows.js'
import { createOverlay, type ReadState, tables } from '../contract/state.js'
import { equalBytes } from '../protocol/canonical.js'
import { roles } from '../protocol/consent-vocabulary.js'
import type { SignedTransaction } from '../protocol/transaction.js'
import type { CustodyChain } from './custody-dependencies.js'

/** A record, its patient, and who asks for it: ids. */
export interface Concern {
  readonly record: Uint8Array
  readonly patient: Uint8Array
  readonly asker: Uint8Array
}

export interface Withdrawals {
  readonly transactions: readonly SignedTransaction[]
  /** The state as it will be when these are on the chain. */
  readonly after: ReadState
}

/** The block that would come next, at this node's clock. */
export function nextBlock(chain: Pick<CustodyChain, 'tip'>, now: number): BlockPlace {
  const { height, time } = chain.tip()
  return { height: height + 1, time: Math.max(time, now) }
}

/**
 * Those of the pending transactions that take consent for a record away: erasures of it, revocations and denies of its
 * patient, revocations of certificates that the asker may act under, and new keys of patient or asker. Only those that the
 * contract accepts: anybody may send others, as many as he likes.
 */
export function withdrawalsOf(
  state: ReadState,
  pending: Iterable<SignedTransaction>,
  { record, patient, asker }: Concern,
  block: BlockPlace,
): Withdrawals {
  const isOfPerson = (key: Uint8Array): boolean => {
    const owner = state.get(tables.keys, key)
    return owner !== undefined && (equalBytes(owner, patient) || equalBytes(owner, asker))
  }
  const isOfAsker = (id: Uint8Array): boolean => {
    const certificate = certificateOf(state, id)
    // The asker's own may be issued under that of an organisation.
    return certificate?.role === roles.organisation || (certificate && equalBytes(certificate.subject, asker)) === true
  }
  const isOne = (transaction: SignedTransaction): boolean => {
    switch (transaction.kind) {
      case 'erasure':
        return equalBytes(transaction.body.record, record)
      case 'revocation':
        return equalBytes(transaction.body.patient, patient)
      case 'grant':
        return transaction.body.deny === 1 && equalBytes(transaction.body.patient, patient)
      case 'certificate_revocation':
        return isOfAsker(transaction.body.certificate)
      case 'identity':
        return transaction.body.previous !== null && isOfPerson(transaction.from)
      default:
        return false
    }
  }
  const found = [...pending].filter(isOne)
  const after = createOverlay(state)
  const accepted = new Set<SignedTransaction>()
  const isNewKey = ({ kind }: SignedTransaction): boolean => kind === 'identity'
  const others = found.filter((one) => !isNewKey(one))
  // Blocks may have them in any order: what was signed by a key counts before the next one has it, and after.
  for (const one of [...others, ...found.filter(isNewKey), ...others]) {
    if (!accepted.has(one) && apply(after, one, block) === codeOf('accepted')) accepted.add(one)
  }
  return { transactions: found.filter((one) => accepted.has(one)), after }
}

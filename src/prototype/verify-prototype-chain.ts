import { checkPrototypeRules, followsPrototypeRules, type PrototypeBlockReport } from './check-prototype-rules.js'
import { type PrototypeLimit, showPrototypeLimits } from './prototype-limits.js'
import { readPrototypeChain } from './read-prototype-chain.js'

export interface PrototypeFault {
  /** Position of the block, from 1. */
  readonly position: number
  readonly rule: 'previous_hash' | 'puzzle'
  readonly sentence: string
}

export interface PrototypeReport {
  readonly blocks: readonly PrototypeBlockReport[]
  /** The verdict that the prototype's own `is_valid` gives. */
  readonly valid: boolean
  readonly firstFault: PrototypeFault | null
  /** Blocks counted, and what the answer claims; the claim is null where there is none. It does not enter `valid`. */
  readonly length: number
  readonly claimedLength: number | null
  /** What these rules do not protect, shown on the blocks before the first fault: see `showPrototypeLimits`. */
  readonly limits: readonly PrototypeLimit[]
}

const faultOf = (report: PrototypeBlockReport): PrototypeFault => {
  const { position } = report
  if (report.previousHashOk === false) {
    const sentence = `Block ${position} names another hash than block ${position - 1} has.`
    return { position, rule: 'previous_hash', sentence }
  }
  const sentence = `The nonce of block ${position} does not solve the puzzle after that of block ${position - 1}.`
  return { position, rule: 'puzzle', sentence }
}

/**
 * Checks a saved answer of the prototype's `get_chain` by the prototype's own rules and shows what they leave open.
 * `json` is `{"chain": [...], "length": n}` or only the list. Pure but for the clock that times the forgeries.
 * Throws `prototype_malformed` if it is not of that form; a chain that breaks a rule is a report, not an error.
 */
export const verifyPrototypeChain = (json: string): PrototypeReport => {
  const { blocks, claimedLength } = readPrototypeChain(json)
  const reports = checkPrototypeRules(blocks)
  const faulty = reports.find((report) => !followsPrototypeRules(report))
  const [genesis, ...others] = blocks
  // The first block cannot be at fault, so what is left has at least that one.
  const sound = faulty ? others.slice(0, faulty.position - 2) : others
  return {
    blocks: reports,
    valid: !faulty,
    firstFault: faulty ? faultOf(faulty) : null,
    length: blocks.length,
    claimedLength,
    limits: showPrototypeLimits([genesis, ...sound]),
  }
}

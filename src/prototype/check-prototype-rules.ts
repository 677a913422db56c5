import { hash } from 'node:crypto'
import { puzzleHash, solvesPuzzle } from './prototype-puzzle.js'
import { pythonJson } from './python-json.js'
import type { PrototypeBlock } from './read-prototype-chain.js'

/** What the prototype's rules say of one block. For the first block they say nothing: both answers are null. */
export interface PrototypeBlockReport {
  readonly position: number
  readonly index: number
  readonly nonce: number
  /** SHA-256 in hex of the block as Python prints it; the next block must name it. */
  readonly hash: string
  readonly previousHash: string
  readonly previousHashOk: boolean | null
  readonly puzzleHash: string | null
  readonly puzzleOk: boolean | null
}

export const prototypeBlockHash = (block: PrototypeBlock): string => hash('sha256', pythonJson(block), 'hex')

/** Applies the prototype's two rules to every block: it names the hash of the one before, and it solves the puzzle. */
export const checkPrototypeRules = (blocks: readonly PrototypeBlock[]): PrototypeBlockReport[] => {
  const reports: PrototypeBlockReport[] = []
  for (const [at, block] of blocks.entries()) {
    const before = reports.at(-1)
    reports.push({
      position: at + 1,
      index: block.index,
      nonce: block.nonce,
      hash: prototypeBlockHash(block),
      previousHash: block.previous_hash,
      previousHashOk: before ? block.previous_hash === before.hash : null,
      puzzleHash: before ? puzzleHash(block.nonce, before.nonce) : null,
      puzzleOk: before ? solvesPuzzle(block.nonce, before.nonce) : null,
    })
  }
  return reports
}

/** Whether the two rules have nothing against this block. */
export const followsPrototypeRules = (report: PrototypeBlockReport): boolean =>
  report.previousHashOk !== false && report.puzzleOk !== false

/** The prototype's verdict on a chain: valid if no block breaks a rule. */
export const isValidPrototypeChain = (blocks: readonly PrototypeBlock[]): boolean =>
  checkPrototypeRules(blocks).every(followsPrototypeRules)

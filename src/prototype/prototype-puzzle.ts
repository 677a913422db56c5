import { hash } from 'node:crypto'

/** Up to here a square is exact in a double, and so is the difference of two such squares. */
const exactSquareLimit = 94_906_265

/** The decimal text of nonce² - previous², exact for integers of any size. */
export const puzzleText = (nonce: number, previous: number): string =>
  Math.abs(nonce) <= exactSquareLimit && Math.abs(previous) <= exactSquareLimit
    ? String(nonce * nonce - previous * previous)
    : String(BigInt(nonce) ** 2n - BigInt(previous) ** 2n)

/** SHA-256 in hex of `puzzleText`: the prototype's whole proof of work. No part of a block enters it but the nonce. */
export const puzzleHash = (nonce: number, previous: number): string =>
  hash('sha256', puzzleText(nonce, previous), 'hex')

/** Whether `nonce` is accepted after `previous`: the puzzle's hash begins with four hex zeros. */
export const solvesPuzzle = (nonce: number, previous: number): boolean => puzzleHash(nonce, previous).startsWith('0000')

/**
 * The smallest nonce from 1 that is accepted after `previous`, as the prototype finds it; about 65,000 tries.
 * Any other nonce that `solvesPuzzle` is accepted as well.
 */
export const prototypeNonce = (previous: number): number => {
  let nonce = 1
  while (!solvesPuzzle(nonce, previous)) nonce++
  return nonce
}

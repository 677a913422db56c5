/**
 * What a search for a nonce has to compute, told apart from what it need not. One try hashes 180 bytes: three blocks of 64
 * bytes, of which only the last holds the low word of the nonce, as word 12. So a header is prepared once:
 *
 * - The first two blocks give the midstate.
 * - Words 0 to 11 of the last block are known, and with them rounds 0 to 11. Round 12 adds its word, the nonce, to two of
 *   the eight state words, which are known but for it.
 * - A word of the message schedule is a sum of four earlier ones (FIPS 180-4, 6.2.2). The terms that do not depend
 *   on the nonce are added up beforehand: words 16 to 18, 20, 22 and 24 are known wholly, the others up to 40 in part, and
 *   from 41 on every term depends on it. Word 19, for one, is sigma1(word 17) + word 12 + sigma0(word 4) + word 3: the
 *   nonce and a single constant.
 * - Where a word is known, so is its sum with the round constant.
 * - Of the digest only the first word is made: where it is above that of the target, no other word can help. The few
 *   nonces where it is not are hashed again, whole (search-kernel.ts), so a fault in here can lose a block and never make a wrong one.
 *
 * Which words these are is the same for every header. So there is one plan, with places for 80 constants, and `constantsOf`
 * fills them for a header. What remains for each nonce is generated from the plan (emit-search.ts), for whichever machine
 * runs it (vector-search.ts, script-search.ts).
 */

/** Of a header: words 0 to 10 of the last block, after which comes the nonce in two words. */
const lastBlock = 128
const nonceWord = 12
const headerBits = 1440

/** The round constants of SHA-256: FIPS 180-4, 4.2.2. The primes' cube roots are too inexact as doubles to make them here. */
// biome-ignore format: eight a line, as in the standard
const roundConstants = Int32Array.of(
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
  0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
  0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
  0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
  0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
  0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
  0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
  0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
)
// biome-ignore format: one line, as in the standard
const initialState = [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19]

const rotate = (word: number, by: number): number => (word >>> by) | (word << (32 - by))
const smallSigma0 = (word: number): number => rotate(word, 7) ^ rotate(word, 18) ^ (word >>> 3)
const smallSigma1 = (word: number): number => rotate(word, 17) ^ rotate(word, 19) ^ (word >>> 10)
const at = (words: Int32Array, index: number): number => words[index] ?? 0

/** Words 16 to 63 from the first sixteen: FIPS 180-4, 6.2.2, step 1. */
function schedule(words: Int32Array): Int32Array {
  const all = new Int32Array(64)
  all.set(words)
  for (let i = 16; i < 64; i++) {
    all[i] = smallSigma1(at(all, i - 2)) + at(all, i - 7) + smallSigma0(at(all, i - 15)) + at(all, i - 16)
  }
  return all
}

/** The state after the first `rounds` rounds: FIPS 180-4, 6.2.2, step 3. */
function compress(state: readonly number[], words: Int32Array, rounds: number): number[] {
  let [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = state
  for (let i = 0; i < rounds; i++) {
    const sum1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)
    const t1 = (h + sum1 + (g ^ (e & (f ^ g))) + at(roundConstants, i) + at(words, i)) | 0
    const sum0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)
    const t2 = (sum0 + ((a & b) | (c & (a | b)))) | 0
    ;[h, g, f, e, d, c, b, a] = [g, f, e, (d + t1) | 0, c, b, a, (t1 + t2) | 0]
  }
  return [a, b, c, d, e, f, g, h]
}

function wordsOf(bytes: Uint8Array, start: number, count: number): Int32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return Int32Array.from({ length: count }, (_, i) => view.getInt32(start + 4 * i))
}

/** A term of a sum in the message schedule: a word, as it is or through one of the two functions. */
export interface Term {
  readonly word: number
  readonly through: 'sigma0' | 'sigma1' | undefined
}

/** How a word of the schedule that depends on the nonce is made. */
export interface PlannedWord {
  /** Those of its terms that depend on the nonce. */
  readonly terms: readonly Term[]
  /** Where the sum of its other terms is among the constants; undefined where there are none. */
  readonly constant: number | undefined
}

/** Where the constants of a header are, in the table that `constantsOf` makes. */
export interface SearchPlan {
  /** The first round that the search makes, and its word is the nonce. */
  readonly firstRound: number
  /** The eight state words after it; the nonce is to be added to those at 0 and 4 (a and e). */
  readonly state: readonly number[]
  /** What is added to `a` in the end for the first word of the digest. */
  readonly feedForward: number
  /** The greatest first word of a digest that is worth a closer look. */
  readonly target: number
  /** For each round what is added: the round constant, with the word of the schedule where that is known. */
  readonly rounds: readonly number[]
  /** Words of the schedule by their number: those that depend on the nonce. The nonce is word 12. */
  readonly words: ReadonlyMap<number, PlannedWord>
  readonly constants: number
}

/** The plan is the same for all headers. */
export const searchPlan: SearchPlan = makePlan()

function makePlan(): SearchPlan {
  let constants = 0
  const next = (): number => constants++
  const state = Array.from({ length: 8 }, next)
  const feedForward = next()
  const target = next()
  const rounds = Array.from({ length: 64 }, (_, i) => (i > nonceWord ? next() : -1))
  const words = new Map<number, PlannedWord>([[nonceWord, { terms: [], constant: undefined }]])
  for (let i = 16; i < 64; i++) {
    const all = termsOf(i)
    const terms = all.filter(({ word }) => words.has(word))
    if (terms.length > 0) words.set(i, { terms, constant: terms.length < all.length ? next() : undefined })
  }
  return { firstRound: nonceWord, state, feedForward, target, rounds, words, constants }
}

function termsOf(i: number): Term[] {
  return [
    { word: i - 2, through: 'sigma1' },
    { word: i - 7, through: undefined },
    { word: i - 15, through: 'sigma0' },
    { word: i - 16, through: undefined },
  ]
}

/**
 * The constants of a header for the nonces that share their high word, in the order of the plan.
 *
 * @param header 180 bytes; its nonce is not looked at
 * @param highWord the high 32 bits of the nonce
 * @param targetWord the first four bytes of the target, big-endian
 */
export function constantsOf(header: Uint8Array, highWord: number, targetWord: number): Int32Array {
  let midstate: number[] = initialState
  for (const start of [0, 64]) {
    const after = compress(midstate, schedule(wordsOf(header, start, 16)), 64)
    midstate = midstate.map((word, i) => (word + (after[i] ?? 0)) | 0)
  }
  const block = new Int32Array(16)
  block.set(wordsOf(header, lastBlock, 11))
  block.set([highWord, 0, 0x80000000, 0, headerBits], nonceWord - 1)

  // With no nonce in it, what is left of each sum of the schedule is its known part: a word that depends on the nonce
  // counts as nothing in the sums of others.
  const known = new Int32Array(64)
  known.set(block)
  const parts = new Int32Array(64)
  for (let i = 16; i < 64; i++) {
    const part = termsOf(i)
      .filter(({ word }) => !searchPlan.words.has(word))
      .reduce((sum, { word, through }) => sum + throughSigma(at(known, word), through), 0)
    parts[i] = part
    if (!searchPlan.words.has(i)) known[i] = part
  }

  const constants = new Int32Array(searchPlan.constants)
  const state = compress(midstate, block, searchPlan.firstRound + 1)
  state.forEach((word, i) => {
    constants[searchPlan.state[i] ?? -1] = word
  })
  constants[searchPlan.feedForward] = midstate[0] ?? 0
  constants[searchPlan.target] = targetWord
  searchPlan.rounds.forEach((place, i) => {
    const word = searchPlan.words.has(i) ? 0 : at(known, i)
    if (place !== -1) constants[place] = at(roundConstants, i) + word
  })
  for (const [i, { constant }] of searchPlan.words) if (constant !== undefined) constants[constant] = at(parts, i)
  return constants
}

function throughSigma(word: number, through: Term['through']): number {
  if (through === 'sigma0') return smallSigma0(word)
  return through === 'sigma1' ? smallSigma1(word) : word
}

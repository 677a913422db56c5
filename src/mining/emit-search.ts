import { searchPlan, type Term } from './search-plan.js'

/**
 * A machine that code is made for. `Code` is an expression or a statement; each call makes a piece of code from others
 * and runs nothing. All words have 32 bits; a machine may work on several nonces at once, one a lane.
 */
export interface Emitter<Code> {
  /** A constant of the header, by its place in the table of `constantsOf`. */
  constant(place: number): Code
  /** The nonce of this pass. */
  nonce(): Code
  /** A variable, by its number from 0 on. */
  get(variable: number): Code
  set(variable: number, value: Code): Code
  /** The sum modulo 2^32. */
  add(left: Code, right: Code): Code
  and(left: Code, right: Code): Code
  xor(left: Code, right: Code): Code
  rotate(value: Code, by: number): Code
  shift(value: Code, by: number): Code
}

/** What is made: statements in their order, then the first word of the digest as an expression. */
export interface EmittedSearch<Code> {
  readonly statements: readonly Code[]
  readonly firstWord: Code
  /** How many variables it uses. */
  readonly variables: number
}

/**
 * Makes the code that hashes one header with one nonce, as far as the first word of the digest: the rounds behind the
 * one that takes the nonce, written out one after another, each word of the schedule just before its round.
 *
 * The eight state words are variables that are never moved: the next round knows `b` by the name that was `a`. The
 * schedule is a ring of sixteen variables, as no word is used more than sixteen rounds later. The choice of f or g by e
 * is g ^ (e & (f ^ g)), one operation less than in the standard. The majority of a, b and c
 * is b ^ ((a ^ b) & (b ^ c)), whose second bracket is the first of the round before: `differences` and the variable behind
 * it hold these two in turn.
 *
 * Variables: 0 to 7 the state, 8 to 23 the ring, 24 the sum of a round that goes into both `a` and `e`, 25 and 26 the
 * differences. For each nonce that is 51 rounds in 253 statements, with no branch among them.
 */
export function emitSearch<Code>(emit: Emitter<Code>): EmittedSearch<Code> {
  const { add, and, xor, rotate, shift } = emit
  const ring = 8
  const sum = ring + 16
  const differences = sum + 1
  const statements: Code[] = []
  const set = (variable: number, value: Code): void => {
    statements.push(emit.set(variable, value))
  }

  const word = (i: number): Code => (i === searchPlan.firstRound ? emit.nonce() : emit.get(ring + (i % 16)))
  const termCode = ({ word: i, through }: Term): Code => {
    if (through === undefined) return word(i)
    const [first, second, shifted] = through === 'sigma0' ? [7, 18, 3] : [17, 19, 10]
    return xor(xor(rotate(word(i), first), rotate(word(i), second)), shift(word(i), shifted))
  }
  const scheduled = (i: number): void => {
    const planned = searchPlan.words.get(i)
    if (!planned) return
    const parts = planned.terms.map(termCode)
    if (planned.constant !== undefined) parts.push(emit.constant(planned.constant))
    set(ring + (i % 16), parts.reduce(add))
  }
  const roundTerm = (i: number): Code => {
    const constant = emit.constant(searchPlan.rounds[i] ?? -1)
    return searchPlan.words.has(i) ? add(constant, word(i)) : constant
  }

  searchPlan.state.forEach((place, i) => {
    const known = emit.constant(place)
    set(i, i === 0 || i === 4 ? add(known, emit.nonce()) : known)
  })
  set(differences, xor(emit.get(1), emit.get(2)))
  let firstWord: Code = emit.constant(searchPlan.feedForward)
  for (let i = searchPlan.firstRound + 1; i < 64; i++) {
    scheduled(i)
    // Variable numbers, by the part that they play in this round.
    const rounds = i - searchPlan.firstRound - 1
    const [a, b, , d, e, f, g, h] = Array.from({ length: 8 }, (_, part) => (part + 64 - rounds) % 8) as Octet
    const [before, now] = rounds % 2 === 0 ? [differences, differences + 1] : [differences + 1, differences]

    const sum1 = xor(xor(rotate(emit.get(e), 6), rotate(emit.get(e), 11)), rotate(emit.get(e), 25))
    const choice = xor(emit.get(g), and(emit.get(e), xor(emit.get(f), emit.get(g))))
    set(sum, add(add(emit.get(h), sum1), add(choice, roundTerm(i))))
    set(now, xor(emit.get(a), emit.get(b)))
    const majority = xor(emit.get(b), and(emit.get(now), emit.get(before)))
    const sum0 = xor(xor(rotate(emit.get(a), 2), rotate(emit.get(a), 13)), rotate(emit.get(a), 22))
    const newA = add(emit.get(sum), add(sum0, majority))
    if (i === 63) firstWord = add(newA, firstWord)
    else {
      set(d, add(emit.get(d), emit.get(sum)))
      set(h, newA)
    }
  }
  return { statements, firstWord, variables: differences + 2 }
}

type Octet = [number, number, number, number, number, number, number, number]

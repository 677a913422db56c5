import { EmrError } from '../../errors.js'
import { isBytes, isMapOf } from '../canonical.js'
import { CHAIN_CID_LENGTH, isChainCidAt } from '../cid.js'

/** Reads one field strictly: its value, or `transaction_malformed`. `name` is for the message. */
export type Field<T> = (value: unknown, name: string) => T

type Fields = Readonly<Record<string, Field<unknown>>>
/** What a body of these fields is. */
export type BodyOf<F extends Fields> = { readonly [K in keyof F]: ReturnType<F[K]> }

export const malformed = (detail: string): EmrError => new EmrError('transaction_malformed', detail)

/** Reads a map that has exactly these fields. @throws EmrError `transaction_malformed` */
export function readBody<F extends Fields>(fields: F, value: unknown): BodyOf<F> {
  const names = Object.keys(fields)
  if (!isMapOf(value, names)) throw malformed(`It has exactly these fields: ${names.join(', ')}.`)
  const entries = Object.entries(fields).map(([name, read]) => [name, read(value[name], name)])
  return Object.fromEntries(entries) as BodyOf<F>
}

/** A byte string of this length. */
export const bytes =
  (length: number): Field<Uint8Array> =>
  (value, name) => {
    if (!isBytes(value, length)) throw malformed(`${name} is not ${length} bytes.`)
    return value
  }

/** The id of a transaction, and so of a person, organisation or node: the 36 bytes of a CID of the chain. */
export const id: Field<Uint8Array> = (value, name) => {
  if (!isBytes(value, CHAIN_CID_LENGTH) || !isChainCidAt(value, 0)) throw malformed(`${name} is not an id.`)
  return value
}

/** An integer of these bounds, both included. */
export const whole =
  (least: number, most: number): Field<number> =>
  (value, name) => {
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < least || value > most) {
      throw malformed(`${name} is not an integer of ${least} to ${most}.`)
    }
    return value
  }

/** A time in ms since 1970. */
export const time: Field<number> = whole(0, Number.MAX_SAFE_INTEGER)

/** A set of bits of `all`; empty only where `least` is 0. */
export const bits =
  (all: number, least = 1): Field<number> =>
  (value, name) => {
    const set = whole(least, all)(value, name)
    if ((set & ~all) !== 0) throw malformed(`${name} has an unknown bit.`)
    return set
  }

/** Exactly one bit of `all`. */
export const oneBit =
  (all: number): Field<number> =>
  (value, name) => {
    const bit = bits(all)(value, name)
    if ((bit & (bit - 1)) !== 0) throw malformed(`${name} has more than one bit.`)
    return bit
  }

/** One of the numbers of a vocabulary. */
export const oneOf =
  <N extends number>(words: Readonly<Record<string, N>>): Field<N> =>
  (value, name) => {
    const found = Object.values(words).find((word) => word === value)
    if (found === undefined) throw malformed(`${name} is not one of its values.`)
    return found
  }

export const orNull =
  <T>(read: Field<T>): Field<T | null> =>
  (value, name) =>
    value === null ? null : read(value, name)

/** A map within a body, of exactly these fields. */
export const mapOf =
  <F extends Fields>(fields: F): Field<BodyOf<F>> =>
  (value) =>
    readBody(fields, value)

/** A list of at most `most` items, each one greater than the one before: one set has one list. */
export const sorted =
  <T>(read: Field<T>, most: number, compare: (a: T, b: T) => number): Field<readonly T[]> =>
  (value, name) => {
    if (!Array.isArray(value) || value.length > most) throw malformed(`${name} is not a list of at most ${most}.`)
    const items = value.map((item) => read(item, name))
    for (const [at, item] of items.entries()) {
      const before = items[at - 1]
      if (before !== undefined && compare(before, item) >= 0) throw malformed(`${name} is not sorted.`)
    }
    return items
  }

/** Ids in the order of their bytes. */
export const ids = (most: number): Field<readonly Uint8Array[]> => sorted(id, most, compareBytes)

/** Byte strings of one length in the order of their bytes. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0)
    if (difference !== 0) return difference
  }
  return a.length - b.length
}

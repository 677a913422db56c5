import { EmrError } from '../errors.js'

/** A block of the prototype; keys beyond these are kept, because they are hashed as well. */
export interface PrototypeBlock {
  readonly index: number
  readonly nonce: number
  readonly previous_hash: string
  readonly timestamp: string
  readonly transactions: readonly unknown[]
  readonly [key: string]: unknown
}

export interface PrototypeChain {
  readonly blocks: readonly [PrototypeBlock, ...PrototypeBlock[]]
  /** The `length` that the answer claims, null in a bare array. The prototype believes it; nothing here does. */
  readonly claimedLength: number | null
}

const malformed = (detail: string): EmrError => new EmrError('prototype_malformed', detail)

/**
 * Refuses numbers with a fraction or an exponent, outside of strings. Python prints 1.0 as 1.0 and 1e5 as
 * 100000.0, but JSON.parse turns them into the integers 1 and 100000: the hash would be wrong without a sign.
 */
const assertIntegersOnly = (json: string): void => {
  let inString = false
  for (let at = 0; at < json.length; at++) {
    const character = json[at]
    if (inString) {
      if (character === '\\') at++
      else if (character === '"') inString = false
    } else if (character === '"') inString = true
    else if (character === '.' || (/[eE]/.test(character ?? '') && /\d/.test(json[at - 1] ?? ''))) {
      throw malformed(`At character ${at} is a number that is not an integer; its hash cannot be checked.`)
    }
  }
}

const parse = (json: string): unknown => {
  try {
    return JSON.parse(json)
  } catch (cause) {
    throw new EmrError('prototype_malformed', 'It is not JSON.', {}, { cause })
  }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const readBlock = (value: unknown, position: number): PrototypeBlock => {
  if (!isObject(value)) throw malformed(`Block ${position} is not an object.`)
  const { index, nonce, previous_hash, timestamp, transactions } = value
  if (!Number.isSafeInteger(index)) throw malformed(`The index of block ${position} is not an integer.`)
  if (!Number.isSafeInteger(nonce)) throw malformed(`The nonce of block ${position} is not an integer.`)
  if (typeof previous_hash !== 'string') throw malformed(`The previous_hash of block ${position} is not a text.`)
  if (typeof timestamp !== 'string') throw malformed(`The timestamp of block ${position} is not a text.`)
  if (!Array.isArray(transactions)) throw malformed(`The transactions of block ${position} are not a list.`)
  return { ...value, index: Number(index), nonce: Number(nonce), previous_hash, timestamp, transactions }
}

const readClaimedLength = (length: unknown): number | null => {
  if (length === undefined) return null
  if (!Number.isSafeInteger(length)) throw malformed('The claimed length is not an integer.')
  return Number(length)
}

/**
 * Reads an answer of `get_chain` that was saved to a file: `{"chain": [...], "length": n}`, or only the list.
 * Throws `prototype_malformed` if it is not of that form, holds no block, or holds a number that is not an integer.
 */
export const readPrototypeChain = (json: string): PrototypeChain => {
  const answer = parse(json)
  assertIntegersOnly(json)
  const list = isObject(answer) ? answer.chain : answer
  if (!Array.isArray(list)) throw malformed('There is no list of blocks in it.')
  const [genesis, ...others] = list.map((value, at) => readBlock(value, at + 1))
  if (!genesis) throw malformed('Its chain holds no block.')
  return { blocks: [genesis, ...others], claimedLength: isObject(answer) ? readClaimedLength(answer.length) : null }
}

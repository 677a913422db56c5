import { EmrError } from '../../errors.js'

type Words = Readonly<Record<string, number>>

/** The number of a word. @throws EmrError `usage` that names the words there are */
export function oneOf<N extends number>(what: string, word: string, words: Readonly<Record<string, N>>): N {
  const found = Object.entries<N>(words).find(([known]) => known.toLowerCase() === word.toLowerCase())
  if (!found) throw new EmrError('usage', `${what}: one of ${Object.keys(words).join(', ')}.`)
  return found[1]
}

/** The sum of words, each of which may be a list with commas; `all` is all of them. @throws EmrError `usage` */
export function bitsOf(what: string, given: readonly string[], words: Words): number {
  let sum = 0
  for (const word of given.flatMap((list) => list.split(','))) {
    if (word === 'all') sum |= Object.values(words).reduce((all, bit) => all | bit, 0)
    else sum |= oneOf(what, word.trim(), words)
  }
  return sum
}

const UNITS: Words = { h: 3_600_000, d: 86_400_000, w: 604_800_000, y: 31_536_000_000 }

/** A time in ms since 1970, of a date (`2027-03-01`, with or without a time of day) or of a span from now (`90d`). @throws EmrError `usage` */
export function timeOf(what: string, text: string, now: number = Date.now()): number {
  const [, count, unit = ''] = /^(\d{1,5})([hdwy])$/.exec(text) ?? []
  const length = UNITS[unit]
  if (count !== undefined && length !== undefined) return now + Number(count) * length
  const time = /^\d{4}-\d{2}-\d{2}(T|$)/.test(text) ? Date.parse(text) : Number.NaN
  if (!(time >= 0)) throw new EmrError('usage', `${what}: a date such as 2027-03-01, or a span such as 90d.`)
  return time
}

import type { Scope } from '../../protocol/bodies/scope.js'
import { actions, EVERY_CLASS, NO_END, purposes, recordClasses } from '../../protocol/consent-vocabulary.js'

/** The words of a sum of bits. */
export const wordsOf = (bits: number, words: Readonly<Record<string, number>>): string[] =>
  Object.entries(words).flatMap(([word, bit]) => ((bits & bit) !== 0 ? [word] : []))

/** A scope in words: `READ, LIST of lab, imaging for TREAT until 2027-01-01`. */
export function scopeText({ records, classes, actions: may, purposes: why, until, uses }: Scope): string {
  const what =
    classes === EVERY_CLASS
      ? 'all records'
      : classes > 0
        ? wordsOf(classes, recordClasses).join(', ')
        : `${records.length} named`
  const end = until === NO_END ? 'without end' : `until ${new Date(until).toISOString().slice(0, 16).replace('T', ' ')}`
  const times = uses > 0 ? `, ${uses} times` : ''
  return `${wordsOf(may, actions).join(', ')} of ${what} for ${wordsOf(why, purposes).join(', ')}, ${end}${times}`
}

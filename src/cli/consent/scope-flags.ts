import type { AskedScope } from '../../client/consent/scope.js'
import { EmrError } from '../../errors.js'
import type { Scope } from '../../protocol/bodies/scope.js'
import { parseChainId } from '../../protocol/cid.js'
import {
  actions,
  confidentiality,
  NO_END,
  purposes,
  recordClasses,
  sensitivities,
} from '../../protocol/consent-vocabulary.js'
import type { ScopeFlags } from './scope-options.js'
import { bitsOf, oneOf, timeOf, wordsOf } from './words.js'

/** @throws EmrError `usage`, `malformed_cid` */
export function scopeOfFlags(flags: ScopeFlags, now: number): AskedScope & { records: Uint8Array[]; classes: number } {
  const records = (flags.record ?? []).map((id) => parseChainId(id).bytes)
  const classes = bitsOf('--class', flags.class ?? [], recordClasses)
  if (records.length > 0 === classes > 0) throw new EmrError('usage', 'Give either --record or --class.')
  if (flags.uses !== undefined && !/^[1-9]\d{0,8}$/.test(flags.uses)) throw new EmrError('usage', '--uses: 1 or more.')
  return {
    records,
    classes,
    purposes: bitsOf('--for', flags.for ?? ['TREAT'], purposes),
    actions: bitsOf('--may', flags.may ?? ['LIST,READ,DOWNLOAD'], actions),
    from: flags.from === undefined ? now : timeOf('--from', flags.from, now),
    until: flags.until === 'ever' ? NO_END : timeOf('--until', flags.until, now),
    uses: Number(flags.uses ?? 0),
    confidentiality: oneOf('--confidentiality', flags.confidentiality, confidentiality),
    sensitivity: bitsOf('--sensitive', flags.sensitive ?? [], sensitivities),
  }
}

/** A scope in words: `READ, LIST of lab, imaging for TREAT until 2027-01-01`. */
export function scopeText({ records, classes, actions: may, purposes: why, until, uses }: Scope): string {
  const what =
    classes === 0x7ff
      ? 'all records'
      : classes > 0
        ? wordsOf(classes, recordClasses).join(', ')
        : `${records.length} named`
  const end = until === NO_END ? 'without end' : `until ${new Date(until).toISOString().slice(0, 16).replace('T', ' ')}`
  const times = uses > 0 ? `, ${uses} times` : ''
  return `${wordsOf(may, actions).join(', ')} of ${what} for ${wordsOf(why, purposes).join(', ')}, ${end}${times}`
}

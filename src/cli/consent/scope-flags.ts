import type { WantedScope } from '../../client/person/wanted-scope.js'
import { EmrError } from '../../errors.js'
import {
  actions,
  confidentiality,
  NO_END,
  purposes,
  recordClasses,
  sensitivities,
} from '../../protocol/consent-vocabulary.js'
import type { ScopeFlags } from './scope-options.js'
import { bitsOf, oneOf, timeOf } from './words.js'

/** What holds where nothing is said: of a grant or a request little, and of a deny all. */
const DEFAULTS = {
  grant: { for: ['TREAT'], may: ['LIST,READ,DOWNLOAD'], until: '90d' },
  deny: { for: ['all'], may: ['all'], until: 'ever' },
} as const

/** @throws EmrError `usage` */
export function scopeOfFlags(
  flags: ScopeFlags,
  now: number,
  kind: keyof typeof DEFAULTS = 'grant',
): WantedScope & { records: string[]; classes: number } {
  const unsaid = DEFAULTS[kind]
  const until = flags.until ?? unsaid.until
  const records = flags.record ?? []
  const classes = bitsOf('--class', flags.class ?? [], recordClasses)
  if (records.length > 0 === classes > 0) throw new EmrError('usage', 'Give either --record or --class.')
  if (flags.uses !== undefined && !/^[1-9]\d{0,8}$/.test(flags.uses)) throw new EmrError('usage', '--uses: 1 or more.')
  return {
    records,
    classes,
    purposes: bitsOf('--for', flags.for ?? unsaid.for, purposes),
    actions: bitsOf('--may', flags.may ?? unsaid.may, actions),
    from: flags.from === undefined ? now : timeOf('--from', flags.from, now),
    until: until === 'ever' ? NO_END : timeOf('--until', until, now),
    uses: Number(flags.uses ?? 0),
    confidentiality: oneOf('--confidentiality', flags.confidentiality, confidentiality),
    sensitivity: bitsOf('--sensitive', flags.sensitive ?? [], sensitivities),
  }
}

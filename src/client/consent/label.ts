import { type LabelPlace, openLabel, sealLabel } from '../../crypto/label-seal.js'
import { EmrError } from '../../errors.js'
import { type Static, Type, Value } from '../../typebox.js'

/** One line of text: no control characters, which could drive the terminal that shows it. */
const line = (maxLength: number, pattern = '^[^\\u0000-\\u001f\\u007f-\\u009f]+$') =>
  Type.String({ pattern, maxLength })

const RecordLabelSchema = Type.Object(
  {
    name: line(256),
    fileName: line(255, '^(?!\\.{1,2}$)[^/\\\\\\u0000-\\u001f\\u007f-\\u009f]+$'),
    size: Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
    type: Type.Optional(line(127, '^[a-z0-9][a-z0-9!#$&^_.+-]*/[a-z0-9][a-z0-9!#$&^_.+-]*$')),
    note: Type.Optional(line(1_024)),
  },
  { additionalProperties: false },
)

/**
 * What a record is called and holds, as its author says: name, name and bytes of the file before encryption, and, if
 * wanted, its media type and a note. For those who may read the record alone.
 */
export type RecordLabel = Readonly<Static<typeof RecordLabelSchema>>

/** Seals a label. `iv` is given only to repeat known answers. @throws EmrError `label_malformed` */
export function sealRecordLabel(
  chainShare: Uint8Array,
  label: RecordLabel,
  place: LabelPlace,
  iv?: Uint8Array,
): Uint8Array {
  assertLabel(label)
  return sealLabel(chainShare, JSON.stringify(label), place, iv)
}

/** Opens a sealed label. Names in it are no paths. @throws EmrError `seal_wrong`, `label_malformed` */
export function openRecordLabel(chainShare: Uint8Array, sealed: Uint8Array, place: LabelPlace): RecordLabel {
  const text = openLabel(chainShare, sealed, place)
  let label: unknown
  try {
    label = JSON.parse(text)
  } catch {
    // The parser's own error quotes the label.
    throw new EmrError('label_malformed', 'It is no JSON.')
  }
  assertLabel(label)
  return label
}

/** Names the place and the rule of the first breach, never the value. */
function assertLabel(label: unknown): asserts label is RecordLabel {
  if (Value.Check(RecordLabelSchema, label)) return
  const [first] = Value.Errors(RecordLabelSchema, label)
  throw new EmrError('label_malformed', first && `At "${first.instancePath}": ${first.keyword}.`)
}

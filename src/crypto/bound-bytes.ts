import { abytes, concatBytes } from '@noble/hashes/utils.js'

/** Bytes of an id on the chain: of a transaction, a person, or a genesis. */
export const ID_SIZE = 36

/** An id as a part of associated data. Only parts of fixed length make one reading of the whole. */
export const idBytes = (id: Uint8Array): Uint8Array => abytes(id, ID_SIZE, 'id')

/** A list of parts of one length, behind the byte that counts them. */
export function counted(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length > 255) throw new RangeError(`A list has at most 255 parts, not ${parts.length}.`)
  return concatBytes(Uint8Array.of(parts.length), ...parts)
}

/** A class of records and the epoch of its key: 2 and 4 bytes, big-endian. */
export interface ClassEpoch {
  readonly class: number
  readonly epoch: number
}

export function classEpochBytes({ class: recordClass, epoch }: ClassEpoch): Uint8Array {
  const bytes = new Uint8Array(6)
  const view = new DataView(bytes.buffer)
  view.setUint16(0, recordClass)
  view.setUint32(2, epoch)
  return bytes
}

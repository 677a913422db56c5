import { EmrError } from '../errors.js'
import { cutChunks } from './cut-chunks.js'
import {
  type Aead,
  CHUNK_SIZE,
  chunkNonce,
  chunkRange,
  type FileSecrets,
  SEALED_CHUNK_SIZE,
  TAG_SIZE,
} from './file-cipher.js'

export interface RangeOptions {
  readonly secrets: FileSecrets
  readonly aead: Aead
  /** First byte of the plaintext that is wanted. */
  readonly start: number
  /** Where the wanted part ends, not included; to the end of the file if left out. */
  readonly end?: number | undefined
}

const GROUP_CHUNKS = 64

/**
 * Decrypts a part of a file from the chunks in which it lies, which `source` gives from `chunkRange(start, end).start`
 * on. Every byte that comes out is authentic and in its place; fewer than asked for come only where the file ends
 * before, which its last chunk has shown.
 *
 * @throws EmrError `cipher_damaged`, `cipher_truncated`; `range_unsatisfiable` if the file ends before `start`
 */
export async function* decryptRange(
  source: AsyncIterable<Uint8Array>,
  { secrets, aead, start, end = Number.MAX_SAFE_INTEGER }: RangeOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { firstChunk } = chunkRange(start, end)
  let index = firstChunk
  let place = firstChunk * CHUNK_SIZE
  let hasEnded = false
  for await (const group of cutChunks(source, { chunkSize: SEALED_CHUNK_SIZE, groupChunks: GROUP_CHUNKS })) {
    // Behind what was asked for nothing is there, where it is not the end of the file.
    if (group.length === 0 && place >= end) break
    if (group.length < TAG_SIZE) throw new EmrError('cipher_truncated')
    hasEnded = group.length < SEALED_CHUNK_SIZE
    const count = Math.ceil(group.length / SEALED_CHUNK_SIZE)
    const plain = new Uint8Array(group.length - count * TAG_SIZE)
    for (let i = 0; i < count; i++, index++) {
      const sealed = group.subarray(i * SEALED_CHUNK_SIZE, (i + 1) * SEALED_CHUNK_SIZE)
      const target = plain.subarray(i * CHUNK_SIZE, (i + 1) * CHUNK_SIZE)
      if (!aead.open(secrets.chunkKey, chunkNonce(secrets.baseNonce, index), sealed, target)) {
        throw new EmrError('cipher_damaged', undefined, { chunk: index })
      }
    }
    const wanted = plain.subarray(Math.max(0, start - place), Math.max(0, end - place))
    if (wanted.length > 0) yield wanted
    place += plain.length
  }
  if (hasEnded && place <= start) throw new EmrError('range_unsatisfiable')
}

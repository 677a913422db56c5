import { hexToBytes } from '@noble/hashes/utils.js'
import { decryptRange } from '../crypto/decrypt-range.js'
import { type Aead, chunkRange, FILE_CONTEXT, HEADER_SIZE, openHeader } from '../crypto/file-cipher.js'
import type { ByteRange } from './byte-range.js'
import { downloadResuming, type Retry } from './download-resuming.js'
import type { NodeClient } from './node-client.js'
import type { FileKey } from './wallet.js'

export interface GetRangeDependencies {
  readonly client: Pick<NodeClient, 'downloadFile'>
  readonly aead: Aead
  /** Called with the encrypted bytes that came so far. */
  readonly onProgress?: ((bytes: number) => void) | undefined
  readonly onRetry?: ((retry: Retry) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * A part of a file: the header and the chunks in which it lies are fetched and decrypted, nothing else. Fewer bytes than
 * asked for come only where the file ends before, which is certain then.
 *
 * @param range bytes of the file before encryption
 * @throws EmrError `range_unsatisfiable`, `cipher_wrong_key`, `cipher_damaged`, `cipher_truncated`, and what a node client throws
 */
export async function* getRange(
  { cid, key }: Pick<FileKey, 'cid' | 'key'>,
  { start, end }: ByteRange,
  { client, aead, onProgress, onRetry, signal }: GetRangeDependencies,
): AsyncGenerator<Uint8Array, void, undefined> {
  const calls = { onRetry, signal }
  const header = new Uint8Array(HEADER_SIZE)
  let filled = 0
  for await (const piece of downloadResuming(client, cid, { ...calls, range: { start: 0, end: HEADER_SIZE } })) {
    header.set(piece, filled)
    filled += piece.length
  }
  const secrets = openHeader(header.subarray(0, filled), hexToBytes(key), FILE_CONTEXT)

  const chunks = chunkRange(start, end ?? start + 1)
  const range = { start: chunks.start, end: end === undefined ? undefined : chunks.end }
  const sealed = downloadResuming(client, cid, {
    ...calls,
    range,
    onProgress: (place) => onProgress?.(HEADER_SIZE + place - chunks.start),
  })
  yield* decryptRange(sealed, { secrets, aead, start, end })
}

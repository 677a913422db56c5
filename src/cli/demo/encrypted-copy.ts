import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { performance } from 'node:perf_hooks'
import { pipeline } from 'node:stream/promises'
import { nodeAead } from '../../crypto/aead-node.js'
import { decryptFile, encryptFile, FILE_CONTEXT } from '../../crypto/file-cipher.js'

/** Largest pieces in which files are read: what the cipher works on at once. */
const PIECE = 1024 * 1024

/** A file as it was written: its bytes, their SHA-256 in hexadecimal, and the time that it took in ms. */
export interface WrittenFile {
  readonly path: string
  readonly size: number
  readonly sha256: string
  readonly ms: number
}

type Transform = (source: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>

async function rewrite(from: string, to: string, transform: Transform, signal: AbortSignal): Promise<WrittenFile> {
  const began = performance.now()
  const hash = createHash('sha256')
  let size = 0
  async function* measured(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const piece of transform(source)) {
      hash.update(piece)
      size += piece.length
      yield piece
    }
  }
  const source = createReadStream(from, { highWaterMark: PIECE })
  await pipeline(source, measured, createWriteStream(to, { flags: 'wx', mode: 0o600 }), { signal })
  return { path: to, size, sha256: hash.digest('hex'), ms: performance.now() - began }
}

/** Encrypts a file (Cobblestone-256) into a new one. */
export const encryptCopy = (from: string, to: string, key: Uint8Array, signal: AbortSignal): Promise<WrittenFile> =>
  rewrite(from, to, (source) => encryptFile(source, { key, context: FILE_CONTEXT, aead: nodeAead }), signal)

/** Decrypts such a file into a new one. @throws EmrError of `decryptFile` */
export const decryptCopy = (from: string, to: string, key: Uint8Array, signal: AbortSignal): Promise<WrittenFile> =>
  rewrite(from, to, (source) => decryptFile(source, { key, context: FILE_CONTEXT, aead: nodeAead }), signal)

/** Size and SHA-256 of a file, in hexadecimal. */
export async function fingerprint(path: string, signal: AbortSignal): Promise<{ size: number; sha256: string }> {
  const hash = createHash('sha256')
  let size = 0
  for await (const piece of createReadStream(path, { highWaterMark: PIECE, signal })) {
    hash.update(piece)
    size += piece.length
  }
  return { size, sha256: hash.digest('hex') }
}

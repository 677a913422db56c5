import { isEmrError } from '../errors.js'
import { cutChunks } from './cut-chunks.js'
import {
  CHUNK_SIZE,
  chunkNonce,
  type DecryptOptions,
  type FileSecrets,
  HEADER_SIZE,
  openHeader,
  SEALED_CHUNK_SIZE,
  TAG_SIZE,
} from './file-cipher.js'

/** How far the beginning of an encrypted file is right. */
export interface VerifiedPrefix {
  /** Bytes up to which every chunk is there with a tag that fits; 0 if not even the header is of this key. */
  readonly size: number
  /** Whether the last chunk of the file is among them: then nothing of it is missing. */
  readonly isWhole: boolean
}

/** Chunks read in one go. */
const GROUP_CHUNKS = 64

/** Checks what is there of an encrypted file, of which nothing is believed. Errors of `source` come out unchanged. */
export async function verifiedPrefix(
  source: AsyncIterable<Uint8Array>,
  { key, context, aead }: DecryptOptions,
): Promise<VerifiedPrefix> {
  const groups = cutChunks(source, { head: HEADER_SIZE, chunkSize: SEALED_CHUNK_SIZE, groupChunks: GROUP_CHUNKS })
  const plain = new Uint8Array(CHUNK_SIZE)
  let secrets: FileSecrets | undefined
  let index = 0
  for await (const group of groups) {
    if (!secrets) {
      secrets = headerSecrets(group, key, context)
      if (!secrets) return { size: 0, isWhole: false }
      continue
    }
    for (let at = 0; at === 0 || at < group.length; at += SEALED_CHUNK_SIZE) {
      const size = HEADER_SIZE + index * SEALED_CHUNK_SIZE
      const sealed = group.subarray(at, at + SEALED_CHUNK_SIZE)
      const target = plain.subarray(0, sealed.length - TAG_SIZE)
      const isRight =
        sealed.length >= TAG_SIZE && aead.open(secrets.chunkKey, chunkNonce(secrets.baseNonce, index), sealed, target)
      if (!isRight) return { size, isWhole: false }
      if (sealed.length < SEALED_CHUNK_SIZE) return { size: size + sealed.length, isWhole: true }
      index++
    }
  }
  return { size: 0, isWhole: false }
}

function headerSecrets(header: Uint8Array, key: Uint8Array, context: Uint8Array): FileSecrets | undefined {
  try {
    return openHeader(header, key, context)
  } catch (error) {
    if (isEmrError(error)) return undefined
    throw error
  }
}

import { equalBytes } from '@noble/ciphers/utils.js'
import { hmac } from '@noble/hashes/hmac.js'
import { sha512 } from '@noble/hashes/sha2.js'
import { abytes, concatBytes, randomBytes } from '@noble/hashes/utils.js'
import { EmrError } from '../errors.js'
import { cutChunks } from './cut-chunks.js'

// Cobblestone-256: C2SP chunked encryption, https://c2sp.org/chunked-encryption, with SHA-512 and AES-256-GCM.
// salt (24) || commitment (32) || chunk 0 || chunk 1 || ...; the last chunk is always the one shorter than the others.

/** Bytes of the key of one file. */
export const FILE_KEY_SIZE = 32
/** Bytes of the salt, the first part of the header. */
export const SALT_SIZE = 24
/** Bytes before the first chunk: salt and key commitment. */
export const HEADER_SIZE = 56
/** Bytes of a full chunk before encryption. */
export const CHUNK_SIZE = 16_384
/** Bytes by which encryption makes a chunk longer. */
export const TAG_SIZE = 16
/** Bytes of a full chunk after encryption. */
export const SEALED_CHUNK_SIZE = CHUNK_SIZE + TAG_SIZE
/** Most chunks that a file may have: 4 PiB of plaintext. */
export const MAX_CHUNKS = 2 ** 38
/** Context of every file of emrchain: the same bytes under another context are of another format. */
export const FILE_CONTEXT: Uint8Array = new TextEncoder().encode('emrchain/file/v1')

const INFO_PREFIX = new TextEncoder().encode('c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0')
/** Chunks sealed or opened in one go, about 1 MiB: long enough to be fast, short enough to let others have a turn. */
const GROUP_CHUNKS = 64

/**
 * AES-256-GCM with a 12-byte nonce, a 16-byte tag and no associated data. Both forms here, `aead-node.ts` and
 * `aead-noble.ts`, compute at once, so the interface is synchronous: a promise for each 16 KiB would cost a good part of
 * the time of the cipher itself. Results go to memory of the caller, which saves one copy.
 */
export interface Aead {
  /** Writes ciphertext and tag to `target`, which is `TAG_SIZE` bytes longer than `plaintext`. */
  seal(key: Uint8Array, nonce: Uint8Array, plaintext: Uint8Array, target: Uint8Array): void
  /**
   * Checks the tag at the end of `sealed` and writes the plaintext to `target`, which is `TAG_SIZE` bytes shorter. Says
   * false and leaves `target` as it is if the tag does not fit.
   */
  open(key: Uint8Array, nonce: Uint8Array, sealed: Uint8Array, target: Uint8Array): boolean
}

/** What key, salt and context give for one file. All but the commitment is secret. */
export interface FileSecrets {
  readonly chunkKey: Uint8Array
  readonly baseNonce: Uint8Array
  /** Stands in the header, so that a file opens under one key only. */
  readonly commitment: Uint8Array
}

/** HKDF-Expand with SHA-512 (RFC 5869, section 2.3) of a 32-byte uniformly random key, never of a password. */
export function deriveFileSecrets(key: Uint8Array, salt: Uint8Array, context: Uint8Array): FileSecrets {
  abytes(key, FILE_KEY_SIZE, 'key')
  abytes(salt, SALT_SIZE, 'salt')
  const info = concatBytes(INFO_PREFIX, salt, context)
  // 76 bytes are two steps of expansion. The library's own `expand` refuses a key shorter than the hash.
  const first = hmac(sha512, key, concatBytes(info, Uint8Array.of(1)))
  const second = hmac(sha512, key, concatBytes(first, info, Uint8Array.of(2)))
  const okm = concatBytes(first, second)
  return { chunkKey: okm.slice(0, 32), baseNonce: okm.slice(32, 44), commitment: okm.slice(44, 76) }
}

/**
 * The secrets of an encrypted file from its first `HEADER_SIZE` bytes. To be called before any chunk is opened.
 *
 * @throws EmrError `cipher_truncated`; `cipher_wrong_key` if key or context are not those of the file
 */
export function openHeader(header: Uint8Array, key: Uint8Array, context: Uint8Array): FileSecrets {
  if (header.length < HEADER_SIZE) throw new EmrError('cipher_truncated', 'It has no whole header.')
  const secrets = deriveFileSecrets(key, header.subarray(0, SALT_SIZE), context)
  if (!equalBytes(secrets.commitment, header.subarray(SALT_SIZE, HEADER_SIZE))) throw new EmrError('cipher_wrong_key')
  return secrets
}

/** Nonce of chunk `index`: base nonce XOR the index as a 12-byte big-endian integer. @throws EmrError `cipher_too_large` */
export function chunkNonce(baseNonce: Uint8Array, index: number): Uint8Array {
  if (index >= MAX_CHUNKS) throw new EmrError('cipher_too_large')
  const nonce = Uint8Array.from(baseNonce)
  const view = new DataView(nonce.buffer)
  view.setUint32(4, view.getUint32(4) ^ Math.floor(index / 2 ** 32))
  view.setUint32(8, view.getUint32(8) ^ (index >>> 0))
  return nonce
}

/** Bytes of a file after encryption, from its bytes before. @throws EmrError `cipher_too_large` */
export function encryptedSize(plain: number): number {
  const fullChunks = Math.floor(assertSize(plain) / CHUNK_SIZE)
  if (fullChunks >= MAX_CHUNKS) throw new EmrError('cipher_too_large')
  return HEADER_SIZE + plain + (fullChunks + 1) * TAG_SIZE
}

/**
 * Bytes of a file before encryption, from its bytes after. Of a length that no file has, what is left is the beginning
 * of one: the last chunk must be there, shorter than a full one, with a whole tag. The length alone proves nothing;
 * opening the last chunk does.
 *
 * @throws EmrError `cipher_truncated`, `cipher_too_large`
 */
export function plainSize(encrypted: number): number {
  const chunks = assertSize(encrypted) - HEADER_SIZE
  const fullChunks = Math.floor(chunks / SEALED_CHUNK_SIZE)
  const last = chunks % SEALED_CHUNK_SIZE
  if (last < TAG_SIZE) throw new EmrError('cipher_truncated')
  if (fullChunks >= MAX_CHUNKS) throw new EmrError('cipher_too_large')
  return fullChunks * CHUNK_SIZE + last - TAG_SIZE
}

/** The chunks that hold a range of plaintext, by number and by place in the encrypted file. */
export interface ChunkRange {
  readonly firstChunk: number
  readonly lastChunk: number
  /** Place of the first byte of the first chunk. */
  readonly start: number
  /** Place behind the last byte of the last chunk, were it full; the file may end before. */
  readonly end: number
}

/** Where plaintext bytes `start` to `end` (not included, greater than `start`) lie in the encrypted file. */
export function chunkRange(start: number, end: number): ChunkRange {
  if (assertSize(start) >= assertSize(end)) throw new RangeError('The range is empty.')
  const firstChunk = Math.floor(start / CHUNK_SIZE)
  const lastChunk = Math.floor((end - 1) / CHUNK_SIZE)
  return {
    firstChunk,
    lastChunk,
    start: HEADER_SIZE + firstChunk * SEALED_CHUNK_SIZE,
    end: HEADER_SIZE + (lastChunk + 1) * SEALED_CHUNK_SIZE,
  }
}

export interface EncryptOptions {
  /** 32 random bytes, new for each version of each file. */
  readonly key: Uint8Array
  /** 24 bytes that never repeat under one key; random if left out, and given only to repeat known answers. */
  readonly salt?: Uint8Array
  readonly context: Uint8Array
  readonly aead: Aead
}

/**
 * Encrypts a file of any size in constant memory. The pieces that come out follow those that go in, whole chunks of
 * at most about 1 MiB; feed 1 MiB at a time for full speed.
 *
 * @throws EmrError `cipher_too_large`
 */
export async function* encryptFile(
  source: AsyncIterable<Uint8Array>,
  { key, salt = randomBytes(SALT_SIZE), context, aead }: EncryptOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { chunkKey, baseNonce, commitment } = deriveFileSecrets(key, salt, context)
  yield concatBytes(salt, commitment)

  let index = 0
  for await (const group of cutChunks(source, { chunkSize: CHUNK_SIZE, groupChunks: GROUP_CHUNKS })) {
    // A group is whole chunks, or the last chunk, which is short and may be empty.
    const count = Math.max(1, Math.ceil(group.length / CHUNK_SIZE))
    const sealed = new Uint8Array(group.length + count * TAG_SIZE)
    for (let i = 0; i < count; i++) {
      const plaintext = group.subarray(i * CHUNK_SIZE, (i + 1) * CHUNK_SIZE)
      const target = sealed.subarray(i * SEALED_CHUNK_SIZE, (i + 1) * SEALED_CHUNK_SIZE)
      aead.seal(chunkKey, chunkNonce(baseNonce, index++), plaintext, target)
    }
    yield sealed
  }
}

export interface DecryptOptions {
  readonly key: Uint8Array
  readonly context: Uint8Array
  readonly aead: Aead
}

/**
 * Decrypts what `encryptFile` made, in pieces of any size and in constant memory. Every byte that comes out is
 * authentic; that they are all, and no more, is certain only when the generator has ended without an error.
 *
 * @throws EmrError `cipher_wrong_key`, `cipher_damaged`, `cipher_truncated`, `cipher_too_large`
 */
export async function* decryptFile(
  source: AsyncIterable<Uint8Array>,
  { key, context, aead }: DecryptOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  const groups = cutChunks(source, { head: HEADER_SIZE, chunkSize: SEALED_CHUNK_SIZE, groupChunks: GROUP_CHUNKS })
  let secrets: FileSecrets | undefined
  let index = 0
  for await (const group of groups) {
    if (!secrets) {
      secrets = openHeader(group, key, context)
      continue
    }
    if (group.length < TAG_SIZE) throw new EmrError('cipher_truncated')
    const count = Math.ceil(group.length / SEALED_CHUNK_SIZE)
    const plain = new Uint8Array(group.length - count * TAG_SIZE)
    for (let i = 0; i < count; i++) {
      const sealed = group.subarray(i * SEALED_CHUNK_SIZE, (i + 1) * SEALED_CHUNK_SIZE)
      const target = plain.subarray(i * CHUNK_SIZE, (i + 1) * CHUNK_SIZE)
      const nonce = chunkNonce(secrets.baseNonce, index)
      if (!aead.open(secrets.chunkKey, nonce, sealed, target)) {
        throw new EmrError('cipher_damaged', undefined, { chunk: index })
      }
      index++
    }
    if (plain.length > 0) yield plain
  }
}

function assertSize(size: number): number {
  if (!Number.isSafeInteger(size) || size < 0) throw new RangeError(`${size} is not a size in bytes.`)
  return size
}

import { bytesToHex, hexToBytes, randomBytes } from '@noble/hashes/utils.js'
import { createSigner } from '../crypto/ed25519.js'
import { type Aead, encryptFile, FILE_CONTEXT, FILE_KEY_SIZE } from '../crypto/file-cipher.js'
import { EmrError, isEmrError } from '../errors.js'
import { isLabelText } from '../protocol/bodies/record.js'
import { parseChainId, parseFileCid } from '../protocol/cid.js'
import { type SignedTransaction, signRecord } from '../protocol/transaction.js'
import type { NodeClient } from './node-client.js'
import { addFileKey, type FileKey, type Wallet } from './wallet.js'

/** What the name of an encrypted file ends with. */
export const ENCRYPTED_SUFFIX = '.aes'

export interface NewRecord {
  /** The file before encryption. */
  readonly source: AsyncIterable<Uint8Array>
  /** Its name, without any folder. */
  readonly fileName: string
  /** The name of the record, as in `MRI`. */
  readonly name: string
  /** Whose record it is, where the network takes clear labels; the public key of the wallet by default. */
  readonly userId?: string | undefined
}

export interface AddRecordDependencies {
  readonly client: Pick<NodeClient, 'status' | 'uploadFile' | 'submitTransaction'>
  readonly wallet: Wallet
  readonly aead: Aead
  /** Clock, in ms since 1970. */
  now(): number
  /**
   * Keeps the key of the file for good. It is awaited before the record is submitted: a record on the chain that
   * nobody can open must not come about.
   */
  keep(fileKey: FileKey): Promise<void>
  /** Called with the encrypted bytes that the node has so far. */
  readonly onProgress?: ((bytes: number) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

export interface AddedRecord {
  readonly fileKey: FileKey
  readonly transaction: SignedTransaction
  /** Cumulative size of the encrypted file's DAG in bytes, as IPFS prints it. */
  readonly dagSize: number
  /** Whether the record says in clear whose it is and what it is called. */
  readonly labelled: boolean
  /** The given wallet with the key of this file. */
  readonly wallet: Wallet
}

/**
 * Encrypts a file under a fresh key, stores it through a node, and submits a record of it, signed with the key of the
 * wallet. When it fails before `keep`, nothing refers to what was stored; when it fails after, the wallet can open the
 * file and the chain does not know it.
 *
 * @throws EmrError `record_without_consent`, `name_unfit`, `cipher_too_large`, what `source` and `keep` throw, and what the node refuses with
 */
export async function addRecord(record: NewRecord, dependencies: AddRecordDependencies): Promise<AddedRecord> {
  const { client, wallet, aead, now, keep, onProgress, signal } = dependencies
  const signer = createSigner(hexToBytes(wallet.seed))
  const { name, userId = bytesToHex(signer.publicKey) } = record
  const storedName = record.fileName + ENCRYPTED_SUFFIX
  // Before the upload: a large file is not sent for a record that cannot be.
  assertNames({ name, userId, storedName })

  const { genesis, clearLabels, administrators } = await client.status({ signal })
  if (administrators) throw new EmrError('record_without_consent')
  const key = randomBytes(FILE_KEY_SIZE)
  const counted = countBytes(record.source)
  const encrypted = encryptFile(counted.bytes, { key, context: FILE_CONTEXT, aead })
  const stored = await client.uploadFile(encrypted, storedName, { onProgress, signal })

  const label = { user_id: userId, EHR_name: name, file_name: storedName, size: stored.size }
  const body = { file: parseFileCid(stored.cid).bytes, ...(clearLabels ? { label } : {}) }
  const transaction = signRecord({ chain: parseChainId(genesis), at: now(), body }, signer)

  const fileKey: FileKey = {
    cid: stored.cid,
    key: bytesToHex(key),
    name,
    fileName: record.fileName,
    size: counted.count(),
    network: genesis,
    addedAt: new Date(now()).toISOString(),
  }
  const grown = addFileKey(wallet, fileKey)
  await keep(fileKey)
  await submit(client, transaction, signal)
  return { fileKey, transaction, dagSize: stored.size, labelled: clearLabels, wallet: grown }
}

async function submit(
  client: Pick<NodeClient, 'submitTransaction'>,
  { bytes }: SignedTransaction,
  signal: AbortSignal | undefined,
): Promise<void> {
  try {
    await client.submitTransaction(bytes, { signal })
  } catch (error) {
    // It got there by another way already.
    if (!isEmrError(error, 'transaction_known')) throw error
  }
}

function assertNames({ name, userId, storedName }: { name: string; userId: string; storedName: string }): void {
  // What chain and wallet both can carry, on every network, so that names do not depend on where one is.
  const fits = (text: string) => isLabelText(text) && !/\p{Cc}/u.test(text)
  if (!fits(name)) throw new EmrError('name_unfit', 'This is about the name of the record.')
  if (!fits(userId)) throw new EmrError('name_unfit', 'This is about the user.')
  if (!fits(storedName) || /[/\\]/.test(storedName) || /^\.{0,2}\.aes$/.test(storedName)) {
    throw new EmrError('name_unfit', `This is about the file, with "${ENCRYPTED_SUFFIX}" behind its name.`)
  }
}

/** The same pieces, counted as they go by. */
function countBytes(source: AsyncIterable<Uint8Array>): { bytes: AsyncGenerator<Uint8Array>; count(): number } {
  let count = 0
  async function* bytes(): AsyncGenerator<Uint8Array> {
    for await (const piece of source) {
      count += piece.length
      yield piece
    }
  }
  return { bytes: bytes(), count: () => count }
}

import { hexToBytes } from '@noble/hashes/utils.js'
import { type Aead, decryptFile, FILE_CONTEXT } from '../crypto/file-cipher.js'
import { EmrError, isEmrError } from '../errors.js'
import { parseFileCid } from '../protocol/cid.js'
import type { NodeClient } from './node-client.js'
import { type FileKey, findFileKey, type Wallet } from './wallet.js'

export interface GetRecordDependencies {
  readonly client: Pick<NodeClient, 'status' | 'findFile' | 'downloadFile'>
  readonly wallet: Wallet
  readonly aead: Aead
  /** Called with the encrypted bytes that came so far. */
  readonly onProgress?: ((bytes: number) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

export type FindRecordDependencies = Pick<GetRecordDependencies, 'wallet' | 'signal'> & {
  readonly client: Pick<NodeClient, 'status' | 'findFile'>
}

export interface OpenedRecord {
  readonly fileKey: FileKey
  /**
   * The file, decrypted as it comes, in constant memory. Every byte is authentic; that the file is complete is certain
   * only when it has ended without an error. Throws `cipher_wrong_key`, `cipher_damaged`, `cipher_truncated`,
   * `file_unavailable`, and what a node client throws.
   */
  readonly contents: AsyncGenerator<Uint8Array, void, undefined>
}

/**
 * A file by the name of its record or by its CID: what the wallet calls it, else what the chain calls it.
 *
 * @throws EmrError `key_missing` if the wallet cannot open it, `file_unknown` if the chain does not know the name either
 */
export async function getRecord(nameOrCid: string, dependencies: GetRecordDependencies): Promise<OpenedRecord> {
  const { client, aead, onProgress, signal } = dependencies
  const fileKey = await findRecord(nameOrCid, dependencies)
  const encrypted = client.downloadFile(fileKey.cid, { onProgress, signal })
  return { fileKey, contents: decryptFile(encrypted, { key: hexToBytes(fileKey.key), context: FILE_CONTEXT, aead }) }
}

/** What the wallet has of the file that `getRecord` would open. @throws EmrError as `getRecord` */
export async function findRecord(nameOrCid: string, dependencies: FindRecordDependencies): Promise<FileKey> {
  const { client, wallet, signal } = dependencies
  const { genesis: network } = await client.status({ signal })
  const own = keyOf(wallet, nameOrCid, network)
  if (own) return own
  if (isFileCid(nameOrCid)) throw new EmrError('key_missing')
  // The chain may know it by the name of its encrypted file, or by what its author calls it.
  const found = await client.findFile({ name: nameOrCid }, { signal }).catch((error: unknown) => {
    if (!isEmrError(error, 'file_unknown')) throw error
    throw new EmrError('file_unknown', 'This is neither the name of a record nor a whole CID.')
  })
  const cids = [found, ...(found.matches ?? [])].map((match) => match['File info'].Hash)
  for (const cid of cids) {
    const known = keyOf(wallet, cid, network)
    if (known) return known
  }
  throw new EmrError('key_missing', `The chain has ${cids[0]} under this name.`)
}

function keyOf(wallet: Wallet, nameOrCid: string, network: string): FileKey | undefined {
  try {
    return findFileKey(wallet, nameOrCid, network)
  } catch (error) {
    if (isEmrError(error, 'key_missing')) return undefined
    throw error
  }
}

function isFileCid(text: string): boolean {
  try {
    parseFileCid(text)
    return true
  } catch {
    return false
  }
}

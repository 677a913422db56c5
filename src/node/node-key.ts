import { readFile } from 'node:fs/promises'
import { bytesToHex } from '@noble/hashes/utils.js'
import { generateSeed, type Signer } from '../crypto/ed25519.js'
import { createNativeSigner } from '../crypto/ed25519-node.js'
import { EmrError } from '../errors.js'
import { writeFileDurably } from '../ledger/durable-file.js'
import type { Json, JsonTable } from '../ledger/json-table.js'
import { dataFolderPaths } from '../ledger/layout.js'

/**
 * The key of a node: 32 bytes in a file of mode 0600, made at the first start. It signs blocks, and the
 * records of the paper's bare `add_transaction`.
 *
 * @throws EmrError `disk_failed` when the file is there but is no key
 */
export async function loadNodeKey(path: string): Promise<Signer> {
  const seed = (await readSeed(path)) ?? (await makeSeed(path))
  if (seed.length !== 32) throw new EmrError('disk_failed', `${path} is not a key of 32 bytes.`)
  return createNativeSigner(seed)
}

const SETTING = 'nodeKey'

/**
 * The key of the node that this data folder belongs to. Any 32 bytes are a key, so a damaged one would make
 * another node without a word: the state notes the public key when it is first used, and it is compared at each start.
 *
 * @throws EmrError `node_key_wrong` when the file is missing, altered, or another node's; `disk_failed`
 */
export async function loadOwnKey(path: string, settings: JsonTable): Promise<Signer> {
  const noted = settings.get(SETTING)
  if (noted !== undefined && (await readSeed(path))?.length !== 32) throw wrongKey(noted)
  const signer = await loadNodeKey(path)
  const found = bytesToHex(signer.publicKey)
  if (noted === undefined) await settings.put(SETTING, found)
  else if (noted !== found) throw wrongKey(noted)
  return signer
}

/** Lets the next start take the key that it finds, or make one: the node is another one from then on. */
export const forgetOwnKey = (settings: JsonTable): Promise<void> => settings.remove(SETTING)

const wrongKey = (noted: Json): EmrError =>
  new EmrError('node_key_wrong', 'Put it back from a backup, or run "emrchain repair --new-key".', {
    expected: typeof noted === 'string' ? noted : null,
  })

async function readSeed(path: string): Promise<Uint8Array | undefined> {
  try {
    return await readFile(path)
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return undefined
    throw new EmrError('disk_failed', `${path} cannot be read.`, {}, { cause })
  }
}

async function makeSeed(path: string): Promise<Uint8Array> {
  const seed = generateSeed()
  await writeFileDurably(path, seed)
  return seed
}

/** The seed of the node of this data folder. @throws EmrError `path_not_found`, `disk_failed` */
export async function readNodeSeed(folder: string): Promise<Uint8Array> {
  const path = dataFolderPaths(folder).nodeKey
  const seed = await readSeed(path)
  if (!seed) throw new EmrError('path_not_found', `There is no node.key in ${folder}.`)
  if (seed.length !== 32) throw new EmrError('disk_failed', `${path} is not a key of 32 bytes.`)
  return Uint8Array.from(seed)
}

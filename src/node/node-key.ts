import { open, readFile, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { generateSeed, type Signer } from '../crypto/ed25519.js'
import { createNativeSigner } from '../crypto/ed25519-node.js'
import { EmrError } from '../errors.js'
import { failpoint } from '../failpoint.js'
import { syncFolder } from '../ledger/durable-file.js'

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

async function readSeed(path: string): Promise<Uint8Array | undefined> {
  try {
    return await readFile(path)
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return undefined
    throw new EmrError('disk_failed', `${path} cannot be read.`, {}, { cause })
  }
}

/** Written whole under another name first, so that a crash leaves a key or none. */
async function makeSeed(path: string): Promise<Uint8Array> {
  const seed = generateSeed()
  const partial = `${path}.part`
  failpoint('node-key.begin')
  await rm(partial, { force: true })
  const file = await open(partial, 'wx', 0o600)
  try {
    await file.writeFile(seed)
    await file.sync()
  } finally {
    await file.close()
  }
  failpoint('node-key.synced')
  await rename(partial, path)
  failpoint('node-key.renamed')
  await syncFolder(dirname(path))
  return seed
}

import { randomBytes } from 'node:crypto'
import { basename, join } from 'node:path'
import { encryptedSize, FILE_KEY_SIZE } from '../../crypto/file-cipher.js'
import { assertSame } from './assert-same.js'
import { decryptCopy, encryptCopy, fingerprint } from './encrypted-copy.js'
import { expected } from './paper-answers.js'
import type { Exchange, PaperClient, PaperRequest } from './paper-client.js'
import { assertValidEverywhere, type ChainEnd, catchUp } from './same-chain.js'
import type { SharedFile } from './shared-file.js'

/** One step of the demonstration: what was asked for, what came out, and how long it took in ms. */
export interface DemoStep {
  readonly title: string
  readonly request?: PaperRequest
  readonly status?: number
  readonly answer: unknown
  readonly ms: number
}

export interface StepsPlan {
  readonly client: PaperClient
  /** Node 1 keeps the file, node 2 is asked for it, node 3 gets it. */
  readonly urls: readonly [string, string, string]
  readonly original: SharedFile
  /** Folder from which the nodes may read, and one for the file that comes out. */
  readonly fileRoot: string
  readonly out: string
  readonly signal: AbortSignal
  onStep(step: DemoStep): void
}

/**
 * The paper's figure 4, on three nodes: a file is encrypted, stored, recorded and mined on the first, found on
 * the second, fetched on the third, and decrypted there.
 *
 * @returns the file that came out, and the end of each node's chain
 * @throws EmrError `demo_mismatch` at the first thing that is not as it must be
 */
export async function runSteps(plan: StepsPlan): Promise<{ path: string; sha256: string; ends: ChainEnd[] }> {
  const { client, urls, original, fileRoot, out, signal, onStep } = plan
  const { EHR_name } = original
  const [first, second, third] = urls
  const step = <T>(title: string, exchange: Exchange<T>): T => {
    onStep({ title, ...exchange })
    return exchange.answer
  }
  const post = (node: string, path: string, json: object): PaperRequest => ({ method: 'POST', url: node + path, json })
  const get = (node: string, path: string): PaperRequest => ({ method: 'GET', url: node + path })

  const key = randomBytes(FILE_KEY_SIZE)
  const encryptedName = `${original.name}.aes`
  const encrypted = await encryptCopy(original.path, join(fileRoot, encryptedName), key, signal)
  assertSame('The size of the encrypted file', encrypted.size, encryptedSize(original.size))
  onStep({
    title: 'Encrypt the file under a new key (Cobblestone-256: AES-256-GCM in chunks); no node sees file or key',
    answer: { file: encryptedName, size: encrypted.size, sha256: encrypted.sha256 },
    ms: encrypted.ms,
  })

  const byPath = post(first, '/create_hash', { file_path: encryptedName })
  const stored = step('Store it in IPFS, on node 1', await client.call(byPath, expected.createHash))['IPFS Hash']
  assertSame('The name of the stored file', stored.Name, encryptedName)
  const upload: PaperRequest = {
    method: 'POST',
    url: `${first}/create_hash`,
    upload: { path: encrypted.path, name: encryptedName },
  }
  const uploaded = step('The same as an upload: the same hash', await client.call(upload, expected.createHash))
  assertSame('The answer to the upload', uploaded['IPFS Hash'], stored)

  const everybody = urls.map((url) => new URL(url).host).sort()
  for (const [at, url] of urls.entries()) {
    const connect = await client.call(post(url, '/connect_node', { nodes: [...urls] }), expected.connectNode)
    const { total_nodes } = step(`Connect node ${at + 1} to the others`, connect)
    assertSame(`The nodes that node ${at + 1} knows`, total_nodes, everybody)
  }

  const record = { user_id: 'xxxxx', ipfs_hash: stored.Hash, EHR_name }
  const add = await client.call(post(first, '/add_transaction', record), expected.addTransaction)
  const added = step('Record it, on node 1', add)
  assertSame('The message of add_transaction', added.message, 'This transaction will be added to blockchain 2')

  const mined = step('Mine a block, on node 1', await client.call(get(first, '/mine_block'), expected.mineBlock))
  const inBlock = mined.transactions.map((transaction) => transaction.id)
  assertSame('What is in the block', { index: mined.index, inBlock }, { index: 2, inBlock: [added.transaction] })
  const [transaction] = mined.transactions
  assertSame(
    'The record in the block',
    { user_id: transaction?.user_id, ipfs_hash: transaction?.ipfs_hash, EHR_name: transaction?.EHR_name },
    record,
  )

  await catchUp(client, [second, third], mined.hash)
  const { chain, length } = step(
    'Read the chain, on node 2',
    await client.call(get(second, '/get_chain'), expected.getChain),
  )
  assertSame('The length of the chain', length, 2)
  assertSame('The hashes of the chain', [chain[0]?.previous_hash, chain[1]?.hash], ['0', mined.hash])

  for (const name of [EHR_name, encryptedName]) {
    const query = await client.call(post(second, '/get_file_hash', { name }), expected.getFileHash)
    const found = step(`Find the file by the name ${name}, on node 2`, query)
    assertSame('The file that was found', found['File info'], stored)
    assertSame('The record that was found', found.transaction, added.transaction)
  }

  const fetch = await client.call(post(third, '/get_file', { ipfs_hash: stored.Hash }), expected.getFile)
  const { path } = step('Get the file, on node 3', fetch)
  const { sha256 } = await fingerprint(path, signal)
  assertSame('The SHA-256 of the file that node 3 got', sha256, encrypted.sha256)

  const decrypted = await decryptCopy(path, join(out, original.name), key, signal)
  onStep({
    title: 'Decrypt what node 3 got',
    answer: { file: basename(decrypted.path), size: decrypted.size, sha256: decrypted.sha256 },
    ms: decrypted.ms,
  })
  assertSame('The SHA-256 of the decrypted file', decrypted.sha256, original.sha256)

  const ends = await assertValidEverywhere(client, urls, (title, exchange) => step(title, exchange))
  return { path: decrypted.path, sha256: decrypted.sha256, ends }
}

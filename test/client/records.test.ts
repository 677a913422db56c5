import { createHash } from 'node:crypto'
import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js'
import t from 'tap'
import { type AddedRecord, addRecord } from '#emrchain/client/add-record.js'
import { fittingKey } from '#emrchain/client/fitting-key.js'
import { getRecord } from '#emrchain/client/get-record.js'
import { listRecords } from '#emrchain/client/list-records.js'
import { createNodeClient, type NodeClient } from '#emrchain/client/node-client.js'
import { prepareSeal } from '#emrchain/client/prepare-seal.js'
import { addFileKey, type FileKey, newWallet, openWallet, type Wallet } from '#emrchain/client/wallet.js'
import { nobleAead } from '#emrchain/crypto/aead-noble.js'
import { nodeAead } from '#emrchain/crypto/aead-node.js'
import { createSigner } from '#emrchain/crypto/ed25519.js'
import { encryptedSize } from '#emrchain/crypto/file-cipher.js'
import { EmrError } from '#emrchain/errors.js'
import { bytesOf, keystream, sourceOf } from '../fixtures/file-content.js'
import { networkFile, startNode } from '../fixtures/start-node.js'

const now = () => Date.now()
const keepNothing = async (): Promise<void> => undefined
const text = (words: string): Uint8Array => new TextEncoder().encode(words)
const publicKeyOf = ({ seed }: Wallet): string => bytesToHex(createSigner(hexToBytes(seed)).publicKey)

/** Adds a small file; the wallet that comes back holds its key. */
const addSmall = (client: NodeClient, wallet: Wallet, name: string, userId?: string): Promise<AddedRecord> =>
  addRecord(
    { source: sourceOf(text(`contents of ${name}`)), fileName: `${name}.txt`, name, userId },
    { client, wallet, aead: nodeAead, now, keep: keepNothing },
  )

t.test('a file goes in encrypted and comes out byte for byte, its record signed by the wallet', async (t) => {
  const { url, node } = await startNode(t)
  const client = createNodeClient(url)
  const contents = await bytesOf(keystream(3_000_001, 'record'))
  const steps: string[] = []
  const progress: number[] = []
  const watched: typeof client = {
    ...client,
    async uploadFile(source, name, options) {
      const stored = await client.uploadFile(source, name, options)
      steps.push(`upload ${name}`)
      return stored
    },
    async submitTransaction(bytes, options) {
      steps.push('submit')
      return client.submitTransaction(bytes, options)
    },
  }
  const wallet = newWallet()
  let kept: FileKey | undefined
  const added = await addRecord(
    { source: sourceOf(contents), fileName: 'MRI.pdf', name: 'MRI' },
    {
      client: watched,
      wallet,
      aead: nodeAead,
      now,
      keep: async (fileKey) => {
        t.same([...node.pendingTransactions()], [], 'no record yet that nobody could open')
        steps.push('keep')
        kept = fileKey
      },
      onProgress: (bytes) => progress.push(bytes),
    },
  )
  t.same(steps, ['upload MRI.pdf.aes', 'keep', 'submit'])
  t.same(kept, added.fileKey)
  t.same(added.wallet.files, [added.fileKey])
  t.match(added.fileKey, { name: 'MRI', fileName: 'MRI.pdf', size: contents.length, network: node.genesis.toString() })
  t.equal(progress.at(-1), encryptedSize(contents.length))
  t.same(
    progress,
    [...progress].sort((a, b) => a - b),
  )

  const { transaction, state } = await client.transaction(added.transaction.id.toString())
  t.equal(state, 'pending')
  t.match(transaction, {
    EHR_name: 'MRI',
    file_name: 'MRI.pdf.aes',
    ipfs_hash: added.fileKey.cid,
    signer: publicKeyOf(wallet),
    size: String(added.dagSize),
    user_id: publicKeyOf(wallet),
  })

  const encrypted = await bytesOf(client.downloadFile(added.fileKey.cid))
  t.equal(encrypted.length, encryptedSize(contents.length))
  t.equal(encrypted.indexOf(contents.subarray(0, 64)), -1, 'what is stored is not the file')
  for (const aead of [nodeAead, nobleAead]) {
    const opened = await getRecord('MRI', { client, wallet: added.wallet, aead })
    t.ok(contents.equals(await bytesOf(opened.contents)))
  }
  t.same(fittingKey(added.wallet, encrypted.subarray(0, 56)), added.fileKey)
  t.throws(() => fittingKey(wallet, encrypted.subarray(0, 56)), { code: 'key_missing' })
  t.throws(() => fittingKey(added.wallet, encrypted.subarray(0, 55)), { code: 'cipher_truncated' })

  const again = await addSmall(client, added.wallet, 'second')
  t.not(again.fileKey.key, added.fileKey.key, 'each file has a key of its own')
})

t.test('nothing is recorded whose key was not kept, and nothing is sent for a name that cannot be', async (t) => {
  const { url, node } = await startNode(t)
  const client = createNodeClient(url)
  const wallet = newWallet()
  const lost = new Error('the disk is gone')
  const failing = {
    client,
    wallet,
    aead: nodeAead,
    now,
    keep: () => Promise.reject(lost),
  }
  const record = { source: sourceOf(text('x')), fileName: 'a.txt', name: 'a' }
  await t.rejects(addRecord(record, failing), lost)
  t.same([...node.pendingTransactions()], [])

  let uploads = 0
  const counting = {
    ...client,
    uploadFile: (...args: Parameters<NodeClient['uploadFile']>) => {
      uploads++
      return client.uploadFile(...args)
    },
  }
  const unfit = [
    { ...record, name: '' },
    { ...record, name: 'two\nlines' },
    { ...record, name: 'x'.repeat(257) },
    { ...record, name: 'é'.repeat(129) },
    { ...record, userId: '\u0007' },
    { ...record, fileName: '../a.txt' },
    { ...record, fileName: 'x'.repeat(253) },
    { ...record, fileName: '..' },
    { ...record, fileName: '' },
  ]
  for (const wrong of unfit) {
    const dependencies = { ...failing, client: counting }
    await t.rejects(addRecord(wrong, dependencies), { code: 'name_unfit' }, JSON.stringify(wrong.name))
  }
  t.equal(uploads, 0)

  const torn = (async function* (): AsyncGenerator<Uint8Array> {
    yield new Uint8Array(100_000)
    throw lost
  })()
  await t.rejects(
    addRecord({ ...record, source: torn }, { ...failing, keep: keepNothing }),
    lost,
    'of the source itself',
  )
  t.same([...node.pendingTransactions()], [])
})

t.test('records are found by the names of the chain too, and opened only with their own key', async (t) => {
  const { url } = await startNode(t)
  const client = createNodeClient(url)
  const added = await addSmall(client, newWallet(), 'MRI', 'xxxxx')
  await client.mine()
  const dependencies = { client, wallet: added.wallet, aead: nodeAead }
  const expected = Buffer.from('contents of MRI')

  const { cid } = added.fileKey
  for (const name of ['MRI', cid, 'MRI.txt.aes']) {
    const opened = await getRecord(name, dependencies)
    t.ok(expected.equals(await bytesOf(opened.contents)), name)
  }
  await t.rejects(getRecord('QmBAD', dependencies), { code: 'file_unknown', message: /nor a whole CID/ })
  const stranger = { ...dependencies, wallet: newWallet() }
  await t.rejects(getRecord('MRI', stranger), { code: 'key_missing', message: new RegExp(cid) })
  await t.rejects(getRecord(cid, stranger), { code: 'key_missing' })

  const forged = addFileKey(newWallet(), { ...added.fileKey, key: 'ab'.repeat(32) })
  const opened = await getRecord('MRI', { ...dependencies, wallet: forged })
  await t.rejects(bytesOf(opened.contents), { code: 'cipher_wrong_key' })

  const elsewhere: FileKey = { ...added.fileKey, network: added.transaction.id.toString() }
  const foreign = { ...dependencies, wallet: addFileKey(newWallet(), elsewhere) }
  await t.rejects(getRecord(cid, foreign), { code: 'key_missing' }, 'a key of another network')

  const missing = addFileKey(newWallet(), {
    ...added.fileKey,
    name: 'gone',
    cid: 'QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o',
  })
  const nowhere = await getRecord('gone', { ...dependencies, wallet: missing })
  await t.rejects(bytesOf(nowhere.contents), { code: 'file_unavailable' })
})

for (const clearLabels of [true, false]) {
  t.test(`the list says where each record stands, ${clearLabels ? 'by' : 'without'} labels in clear`, async (t) => {
    const network = networkFile(t, { name: `labels-${clearLabels}`, clearLabels })
    const { url, node } = await startNode(t, { network })
    const client = createNodeClient(url)
    const first = await addSmall(client, newWallet(), 'same name')
    t.equal(first.labelled, clearLabels)
    const block = await client.mine()
    const { transaction } = await client.transaction(first.transaction.id.toString())
    t.equal(transaction.EHR_name, clearLabels ? 'same name' : null)
    t.equal(transaction.ipfs_hash, first.fileKey.cid)

    const second = await addSmall(client, first.wallet, 'same name')
    await client.mine()
    const third = await addSmall(client, second.wallet, 'pending')
    let grown = third.wallet
    const refusing = { ...client, submitTransaction: () => Promise.reject(new EmrError('mempool_full')) }
    const keep = async (fileKey: FileKey): Promise<void> => {
      grown = addFileKey(grown, fileKey)
    }
    await t.rejects(
      addRecord(
        { source: sourceOf(text('x')), fileName: 'x', name: 'lost' },
        { client: refusing, wallet: grown, aead: nodeAead, now, keep },
      ),
      { code: 'mempool_full' },
    )
    const otherNetwork: FileKey = { ...first.fileKey, network: first.transaction.id.toString() }

    const listed = await listRecords(addFileKey(grown, otherNetwork), { client })
    t.match(
      listed.map(({ fileKey, record }) => [fileKey.name, record]),
      [
        [
          'same name',
          {
            state: 'confirmed',
            block: { index: 2, hash: block.hash },
            confirmations: 2,
            transaction: first.transaction.id.toString(),
          },
        ],
        ['same name', { state: 'confirmed', block: { index: 3 }, confirmations: 1 }],
        ['pending', { state: 'pending', transaction: third.transaction.id.toString() }],
        ['lost', { state: 'unrecorded' }],
      ],
    )
    t.equal(listed.length, 4, 'no file of another network')
    t.equal(node.tip().header.height, 2)
  })
}

t.test('a record that got there by another way is no failure', async (t) => {
  const { url } = await startNode(t)
  const client = createNodeClient(url)
  const twice: NodeClient = {
    ...client,
    submitTransaction: async (bytes, options) => {
      await client.submitTransaction(bytes, options)
      return client.submitTransaction(bytes, options)
    },
  }
  const added = await addSmall(twice, newWallet(), 'twice')
  t.same(await client.pendingTransactions(), [added.transaction.id.toString()])
})

t.test('a prepared seal makes a wallet file like any other', async (t) => {
  const wallet = newWallet()
  const seal = await prepareSeal('geheim', { workFactor: 6 })
  const sealed = await seal(wallet)
  t.same(await openWallet(sealed, 'geheim'), wallet)
  await t.rejects(openWallet(sealed, 'Geheim'), { code: 'passphrase_wrong' })
  t.match(Buffer.from(sealed).toString('latin1'), /^age-encryption\.org\/v1\n-> scrypt \S+ 6\n/)
  const other = await (await prepareSeal('geheim', { workFactor: 6 }))(wallet)
  t.not(createHash('sha256').update(sealed).digest('hex'), createHash('sha256').update(other).digest('hex'))
  await t.rejects(prepareSeal(''), { code: 'passphrase_missing' })
})

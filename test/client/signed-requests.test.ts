import t from 'tap'
import { createNodeClient } from '#emrchain/client/node-client.js'
import type { Fetch } from '#emrchain/client/node-request.js'
import { roles } from '#emrchain/protocol/consent-vocabulary.js'
import { signerOf } from '../fixtures/block-maker.js'
import { startClinic } from '../fixtures/clinic.js'
import { bytesOf, sourceOf } from '../fixtures/file-content.js'
import { startNode } from '../fixtures/start-node.js'

/** A fetch that notes which calls carry a signature. */
function watchedFetch() {
  const calls: string[] = []
  const watched: Fetch = (url, request) => {
    const { pathname } = new URL(url)
    calls.push(`${pathname}${'signature' in request.headers ? ' signed' : ''}`)
    return globalThis.fetch(url, request as RequestInit)
  }
  return { fetch: watched, calls }
}

t.test('a client signs where a node asks for it, and from then on', async (t) => {
  const clinic = await startClinic(t, { behindProxy: true })
  const { first, identity, certificate, put } = clinic
  const grey = identity('grey', roles.doctor)
  const signer = signerOf('grey')
  const { fetch, calls } = watchedFetch()
  const client = createNodeClient(first.url, { signer, fetch })
  await client.status()
  t.equal(await client.submitTransaction(grey.bytes), grey.id.toString())
  t.match(await client.transaction(grey.id.toString()), { state: 'pending' })
  const path = `/transactions/${grey.id}`
  t.same(calls, ['/status', '/transactions', path, `${path} signed`])
  await put(grey)
  await t.rejects(client.pendingTransactions(), { code: 'reader_not_certified', message: /emrchain certify/ })
  await put(certificate(grey))

  calls.length = 0
  t.match(await client.newestBlocks(1), { length: first.node.tip().header.height + 1 })
  await t.rejects(client.findFile({ name: 'ünïcode' }), { code: 'file_unknown' }, 'a body is signed too')
  t.match(await client.identityOfKey(Buffer.from(signer.publicKey).toString('hex')), { id: grey.id.toString() })
  t.same(calls, ['/get_chain signed', '/get_file_hash signed', '/identities signed'])
  await t.rejects(
    client.uploadFile(sourceOf(new Uint8Array(1)), 'x'),
    { code: 'token_required' },
    'a stream goes out as it is',
  )
  t.equal(calls.at(-1), '/create_hash')
  await t.rejects(bytesOf(client.downloadFile('QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o')), {
    code: 'file_unavailable',
  })

  const nobody = createNodeClient(first.url)
  await t.rejects(nobody.pendingTransactions(), { code: 'reader_unsigned' })
  let asked = 0
  const without = createNodeClient(first.url, {
    async signer() {
      asked++
      return undefined
    },
  })
  await without.status()
  t.equal(asked, 0, 'nobody is looked for before')
  await t.rejects(without.pendingTransactions(), { code: 'reader_unsigned' })
  t.equal(asked, 1)
  const found = createNodeClient(first.url, { signer: async () => signer })
  const [one, two] = await Promise.all([found.pendingTransactions(), found.pendingTransactions()])
  t.same([one, two], [[], []], 'calls side by side')
})

t.test('a node of an open network sees no key', async (t) => {
  const { url } = await startNode(t)
  const { fetch, calls } = watchedFetch()
  const client = createNodeClient(url, { fetch, signer: () => t.fail('It was not asked for.') as never })
  await client.newestBlocks(1)
  await client.pendingTransactions()
  await t.rejects(client.identity('ab'.repeat(32)), { code: 'identity_unknown' })
  t.notMatch(calls.join(), /signed/)
})

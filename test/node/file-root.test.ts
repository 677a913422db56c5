import { join } from 'node:path'
import t from 'tap'
import { openUnderRoot } from '#emrchain/node/file-root.js'

t.test('the data folder of a node is no part of its file root', async (t) => {
  const root = t.testdir({ 'MRI.pdf.aes': 'ciphertext', data: { 'node.key': 'secret' }, 'data-of-mine': { scan: 'x' } })
  const secret = join(root, 'data')
  await t.rejects(openUnderRoot(root, 'data/node.key', secret), { code: 'path_forbidden' })
  await t.rejects(openUnderRoot(root, './data/../data/node.key', secret), { code: 'path_forbidden' })
  for (const path of ['MRI.pdf.aes', 'data-of-mine/scan']) {
    const { file, name } = await openUnderRoot(root, path, secret)
    await file.close()
    t.equal(name, path.split('/').at(-1))
  }
  await t.rejects(openUnderRoot(root, 'data-of-mine', secret), { code: 'path_forbidden' }, 'a folder is no file')
})

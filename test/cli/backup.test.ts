import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import t from 'tap'
import { createBlockMaker, easyNetworkFile } from '../fixtures/block-maker.js'
import { errorCodeOf as codeOf, type Ran, runCli } from '../fixtures/run-cli.js'
import { easyNetwork, folderOf, startNode, transactionsOf } from '../fixtures/start-node.js'

const run = (...words: string[]): Promise<Ran> => runCli(words)
const never = new AbortController().signal

t.test('a backup of a node at work holds what was acknowledged before, and is restored as a prefix', async (t) => {
  const maker = createBlockMaker(easyNetworkFile)
  const network = easyNetwork(t)
  const node = await startNode(t, { network })
  const { data } = node.options
  const { cid: file } = await node.node.createHash(
    { name: 'a.aes', source: Readable.from([Buffer.from('abc')]) },
    never,
  )
  const before: string[] = []
  const send = async (name: string): Promise<string> => {
    const { id, bytes } = maker.record(name)
    await node.node.submitTransaction(bytes)
    return id.toString()
  }
  for (let n = 0; n < 12; n++) {
    before.push(await send(`before ${n}`))
    if (n % 5 === 4) await node.node.mine(never)
  }
  const blocksBefore = node.node.tip().header.height

  const backup = folderOf(t, 'backup')
  let done = false
  const writer = (async () => {
    for (let n = 0; !done; n++) {
      await send(`meanwhile ${n}`)
      if (n % 10 === 9) await node.node.mine(never)
    }
  })()
  const made = await run('backup', backup, '--data', data, '--network', network, '--json').finally(() => {
    done = true
  })
  await writer
  t.equal(made.code, 0, made.stderr)
  const report = JSON.parse(made.stdout)
  t.match(report, { folder: backup, files: [file.toString()], damagedFiles: [] })
  t.equal(statSync(join(backup, 'node.key')).mode & 0o777, 0o600)
  t.equal(statSync(backup).mode & 0o777, 0o700)
  t.notOk(existsSync(`${backup}.unfinished`))
  t.ok(existsSync(join(data, 'shares')))
  t.notOk(existsSync(join(backup, 'shares')), 'shares are in no backup, so that erasing is erasing')

  const target = folderOf(t, 'restored')
  const restored = await run('restore', backup, '--data', target, '--network', network, '--json')
  t.equal(restored.code, 0, restored.stderr)
  t.notOk(existsSync(join(target, 'shares')))
  t.match(JSON.parse(restored.stdout), { tip: report.tip, pending: report.pending, files: 1 })

  const original = Array.from({ length: report.tip.height + 1 }, (_, height) => height)
  const again = await startNode(t, { network, data: target })
  t.ok(again.node.tip().header.height >= blocksBefore)
  for (const height of original) {
    const [a, b] = [await node.node.blockAt(height), await again.node.blockAt(height)]
    if (!a || !b || !a.header.id.equals(b.header.id)) t.fail(`block ${height} differs`)
  }
  const { onChain, pending } = await transactionsOf(again.node)
  for (const id of before) if (![...onChain, ...pending].includes(id)) t.fail(`lost ${id}`)
  const parts: Uint8Array[] = []
  for await (const part of await again.node.readFile(file, never)) parts.push(part)
  t.equal(Buffer.concat(parts).toString(), 'abc')
  t.same(await again.node.checkChain(never), { valid: true })

  t.test('what is there is never written over', async (t) => {
    const second = await run('backup', backup, '--data', data, '--network', network, '--json')
    t.equal(codeOf(second), 'folder_not_empty')
    const onto = await run('restore', backup, '--data', data, '--network', network, '--json')
    t.equal(codeOf(onto), 'folder_not_empty')
  })

  t.test('a file that is damaged or gone in the backup is named, and the rest is restored', async (t) => {
    const path = join(backup, 'files', `${file}.car`)
    const bytes = readFileSync(path)
    const restoreTo = async (name: string): Promise<void> => {
      const to = folderOf(t, name)
      const answer = await run('restore', backup, '--data', to, '--network', network, '--json')
      t.equal(answer.code, 5, answer.stderr)
      t.match(JSON.parse(answer.stdout), { files: 0, damagedFiles: [file.toString()] })
      t.ok(existsSync(join(to, 'chain.car')))
      t.notOk(existsSync(join(to, 'files', `${file}.car`)), 'and it is not taken for whole')
    }
    const damaged = Buffer.from(bytes)
    damaged.writeUInt8(damaged.readUInt8(bytes.length - 1) ^ 4, bytes.length - 1)
    writeFileSync(path, damaged)
    await restoreTo('without-damaged')
    rmSync(path)
    await restoreTo('without-missing')
    writeFileSync(path, bytes)
  })

  t.test('a backup that was altered, anywhere else, is refused by name and leaves nothing', async (t) => {
    const alter = async (name: string, change: (bytes: Buffer) => Buffer, code: RegExp): Promise<void> => {
      const path = join(backup, name)
      const bytes = readFileSync(path)
      writeFileSync(path, change(Buffer.from(bytes)))
      const to = folderOf(t, 'refused')
      const answer = await run('restore', backup, '--data', to, '--network', network, '--json')
      writeFileSync(path, bytes)
      t.not(answer.code, 0, name)
      t.match(codeOf(answer), code, name)
      t.notOk(existsSync(to) || existsSync(`${to}.unfinished`), `${name}: nothing is left`)
    }
    const flip = (bytes: Buffer): Buffer => {
      const at = Math.floor(bytes.length / 2)
      bytes[at] = (bytes[at] ?? 0) ^ 4
      return bytes
    }
    await alter('chain.car', flip, /^chain_damaged$/)
    await alter('chain.car', (bytes) => bytes.subarray(0, -1), /^chain_damaged$/)
    await alter('state/data.mdb', flip, /^index_damaged$/)
    await alter('node.key', (bytes) => bytes.subarray(1), /^disk_failed$/)
    await alter('node.key', flip, /^node_key_wrong$/)
    await alter(
      'backup.json',
      (bytes) => Buffer.from(bytes.toString().replace('"backup": 1', '"backup": 9')),
      /_version$/,
    )
    await alter('backup.json', () => Buffer.from('{'), /^backup_malformed$/)
    await alter('version.json', (bytes) => Buffer.from(bytes.toString().replace(':1', ':9')), /_version$/)
  })
})

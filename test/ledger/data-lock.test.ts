import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { lockDataFolder } from '#emrchain/ledger/data-lock.js'
import { dataFolderPaths } from '#emrchain/ledger/layout.js'
import { openExample } from './example-chain.js'

/** A child that holds the folder and has said so. */
const startHolder = async (folder: string, within: readonly string[] = []): Promise<ChildProcess> => {
  const script = fileURLToPath(new URL('./folder-holder.js', import.meta.url))
  const [command = process.execPath, ...words] = [...within, process.execPath, script, folder]
  const holder = spawn(command, words, { stdio: ['ignore', 'pipe', 'inherit'] })
  if (!holder.stdout) throw new Error('unreachable')
  await once(holder.stdout, 'data')
  return holder
}

t.test('a folder is for one at a time in this process', async (t) => {
  const folder = t.testdir({ a: {} })
  const paths = dataFolderPaths(join(folder, 'a'))
  const lock = await lockDataFolder(paths)
  await t.rejects(lockDataFolder(paths), { code: 'data_folder_in_use' })
  await symlink(join(folder, 'a'), join(folder, 'b'))
  await t.rejects(lockDataFolder(dataFolderPaths(join(folder, 'b'))), { code: 'data_folder_in_use' }, 'by another path')
  await mkdir(join(folder, 'c'))
  const other = await lockDataFolder(dataFolderPaths(join(folder, 'c')))
  await other.release()
  await lock.release()
  t.same(await readdir(join(folder, 'a')), process.platform === 'darwin' ? ['lock'] : [], 'nothing is left behind')
  await (await lockDataFolder(paths)).release()
})

t.test('a path that is too long for a socket can be locked', async (t) => {
  const folder = join(t.testdir(), 'n'.repeat(120), 'n'.repeat(120))
  await mkdir(folder, { recursive: true })
  const lock = await lockDataFolder(dataFolderPaths(folder))
  await t.rejects(lockDataFolder(dataFolderPaths(folder)), { code: 'data_folder_in_use' })
  await lock.release()
})

t.test('another process holds it until it is killed, however that is done', async (t) => {
  const folder = t.testdir()
  for (const signal of ['SIGKILL', 'SIGTERM', 'SIGKILL'] as const) {
    const holder = await startHolder(folder)
    await t.rejects(openExample(folder), { code: 'data_folder_in_use' })
    await t.rejects(openExample(folder), { code: 'data_folder_in_use' }, 'asking does not disturb the holder')
    holder.kill(signal)
    await once(holder, 'exit')
    const ledger = await openExample(folder)
    await t.rejects(openExample(folder), { code: 'data_folder_in_use' })
    await ledger.close()
  }
})

t.test('of many that ask at once after a kill, one gets it', async (t) => {
  const folder = t.testdir()
  const holder = await startHolder(folder)
  holder.kill('SIGKILL')
  await once(holder, 'exit')
  const asked = await Promise.allSettled(Array.from({ length: 20 }, () => lockDataFolder(dataFolderPaths(folder))))
  const held = asked.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
  t.equal(held.length, 1)
  for (const one of asked) if (one.status === 'rejected') t.match(one.reason, { code: 'data_folder_in_use' })
  for (const lock of held) await lock.release()
})

/** Whether this process may make a network namespace, as every container has one of its own. */
const canUnshare = process.platform === 'linux' && spawnSync('unshare', ['-n', 'true']).status === 0

t.test(
  'a process in another container that shares the folder is seen',
  { skip: !canUnshare && 'network namespaces cannot be made here' },
  async (t) => {
    const folder = t.testdir()
    const holder = await startHolder(folder, ['unshare', '-n'])
    await t.rejects(openExample(folder), { code: 'data_folder_in_use' })
    holder.kill('SIGKILL')
    await once(holder, 'exit')
    await (await openExample(folder)).close()
  },
)

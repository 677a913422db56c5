import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { openFileStore, probeKubo } from '#emrchain/files/choose-file-store.js'
import { createKuboFileStore } from '#emrchain/files/kubo/create-kubo-file-store.js'
import { bytesOf, digestOf, keystream, sourceOf } from '../fixtures/file-content.js'
import { startKubo } from '../fixtures/kubo-daemon.js'
import { blocksOf, carOf, fileStoreSuite } from './file-store-suite.js'

const KIB_256 = 256 * 1024

t.test('the store behind a Kubo daemon', async (t) => {
  const kubo = await startKubo(t)
  if (!kubo) return t.plan(0, 'There is no Kubo here.')
  const store = createKuboFileStore({ url: kubo.rpcUrl })
  t.teardown(() => store.close())
  const kept = async () => kubo.ipfs(['pin', 'ls', '--type=recursive', '--quiet']).trim().split('\n').sort()

  t.test('is found', async (t) => {
    t.equal(await probeKubo(kubo.rpcUrl, { timeoutMs: 5_000 }), true)
    t.equal(await probeKubo(kubo.gatewayUrl, { timeoutMs: 5_000 }), false, 'its gateway is not its RPC')
  })

  await fileStoreSuite(t, { store, kept })

  t.test('agrees with Kubo on every byte', async (t) => {
    const content = await bytesOf(keystream(180 * KIB_256 + 11, 'agree'))
    const { root } = await blocksOf(content)
    t.equal(kubo.ipfs(['add', '--quieter', '--cid-version=0'], content).trim(), root.toString())
    t.equal(await store.has(root), true, 'what was pinned by others is held')
    t.equal(
      (await store.stat(root)).size,
      JSON.parse(kubo.ipfs(['files', 'stat', '--enc=json', `/ipfs/${root}`])).CumulativeSize,
    )
    const gateway = await fetch(new URL(`/ipfs/${root}?format=car&car-order=dfs&car-dups=n`, kubo.gatewayUrl))
    t.equal(gateway.status, 200)
    t.equal(
      await digestOf(store.exportCar(root)),
      await digestOf(sourceOf(new Uint8Array(await gateway.arrayBuffer()))),
    )
    const block = await fetch(new URL(`/ipfs/${root}?format=raw`, kubo.gatewayUrl))
    t.strictSame(Buffer.from(await store.getBlock(root)), Buffer.from(await block.arrayBuffer()))
  })

  t.test('takes its profile with it, whatever the daemon is set to', async (t) => {
    const before = kubo.ipfs(['config', 'Import.CidVersion']).trim()
    t.equal(before, '0')
    kubo.ipfs(['config', 'profile', 'apply', 'unixfs-v1-2025'])
    const { cid } = await store.add(keystream(300_000, 'set otherwise'))
    t.equal(cid.toString(), (await blocksOf(await bytesOf(keystream(300_000, 'set otherwise')))).root.toString())
  })

  t.test('does not pin half a file, nor search for the rest', async (t) => {
    const { root, blocks } = await blocksOf(await bytesOf(keystream(3 * KIB_256, 'half')))
    await t.rejects(store.importCar(root, carOf(root, blocks.slice(0, -1))), { code: 'car_incomplete' })
    t.equal(await store.has(root), false)
    await t.rejects(bytesOf(store.read(root)), { code: 'file_unavailable' }, 'a missing block is told at once')
    await store.importCar(root, carOf(root, blocks))
    t.equal(await store.has(root), true)
  })

  t.test('exchanges files with the embedded store', async (t) => {
    const embedded = await openFileStore('embedded', { folder: t.testdir() })
    t.teardown(() => embedded.close())
    const here = await embedded.add(keystream(200 * KIB_256, 'from embedded'))
    t.strictSame(await store.importCar(here.cid, embedded.exportCar(here.cid)), here)
    const there = await store.add(keystream(200 * KIB_256, 'from Kubo'))
    t.strictSame(await embedded.importCar(there.cid, store.exportCar(there.cid)), there)
    for (const { cid } of [here, there]) {
      t.equal(await digestOf(embedded.exportCar(cid)), await digestOf(store.exportCar(cid)))
      t.equal(await digestOf(embedded.read(cid)), await digestOf(store.read(cid)))
    }
  })

  t.test('mends blocks that were damaged on its disk, which a daemon does not by itself', async (t) => {
    const content = await bytesOf(keystream(5 * KIB_256, 'flipped on the disk of the daemon'))
    const { root, blocks } = await blocksOf(content)
    await store.add(sourceOf(content))
    const { RepoPath } = JSON.parse(kubo.ipfs(['repo', 'stat', '--enc=json']))
    /** Flips a bit of each of these blocks where the daemon keeps it. */
    const flip = (...numbers: readonly number[]): void => {
      const folder = join(RepoPath, 'blocks')
      const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.data'))
      const wanted = numbers.map((number) => Buffer.from(blocks[number]?.bytes ?? []))
      const hit = names.filter((name) => {
        const bytes = readFileSync(join(folder, name))
        if (!wanted.some((block) => block.equals(bytes))) return false
        bytes.writeUInt8(bytes.readUInt8(20) ^ 1, 20)
        writeFileSync(join(folder, name), bytes)
        return true
      })
      t.equal(hit.length, numbers.length, 'as many files of the repository were changed')
    }
    const damaged = { code: 'file_damaged' }
    flip(1, 4)
    await t.rejects(bytesOf(store.read(root)), damaged)
    await store.importCar(root, carOf(root, blocks))
    await t.rejects(bytesOf(store.read(root)), damaged, 'it keeps the block that it has')
    t.equal(await store.setAside(root), undefined)
    t.equal(await store.has(root), true, 'and the pin stays until a whole copy is there')
    await t.rejects(store.importCar(root, carOf(root, blocks.slice(0, -1))), { code: 'car_incomplete' })
    t.equal(await store.has(root), true)
    await store.importCar(root, carOf(root, blocks))
    t.equal((await bytesOf(store.read(root))).equals(content), true)
    t.equal(await store.has(root), true)

    // Below a damaged root nothing can be seen, so a second copy is needed for what is there.
    flip(0, 2)
    for (const isWhole of [false, true]) {
      await store.setAside(root)
      await store.importCar(root, carOf(root, blocks))
      if (isWhole) t.equal((await bytesOf(store.read(root))).equals(content), true)
      else await t.rejects(bytesOf(store.read(root)), damaged)
    }
    t.equal(await store.has(root), true)
  })

  t.test('keeps blocks of what was removed until they are collected', async (t) => {
    const { cid } = await store.add(keystream(2 * KIB_256, 'to be collected'))
    const { cid: other } = await store.add(keystream(2 * KIB_256, 'not to be collected'))
    await store.remove(cid)
    t.equal((await store.stat(cid)).cid.equals(cid), true, 'the daemon has it still')
    let blocks = 0
    for await (const block of store.collect()) {
      blocks++
      t.not(block.toString(), other.toString())
    }
    t.ok(blocks >= 3, `${blocks} blocks`)
    await t.rejects(store.stat(cid), { code: 'file_unavailable' })
    t.equal((await bytesOf(store.read(other))).length, 2 * KIB_256)
    const aborted = AbortSignal.abort()
    await t.rejects(
      (async () => {
        for await (const _ of store.collect({ signal: aborted }));
      })(),
      { code: 'cancelled' },
    )
  })

  t.test('says so when the daemon goes', async (t) => {
    const { cid } = await store.add(sourceOf(Buffer.from('before it goes')))
    await kubo.stop()
    await t.rejects(store.has(cid), { code: 'file_store_unreachable' })
    await t.rejects(store.add(keystream(10, 'gone')), { code: 'file_store_unreachable' })
    t.match(await store.health(), { state: 'degraded' })
    t.equal(await probeKubo(kubo.rpcUrl, { timeoutMs: 1_000 }), false)
  })
})

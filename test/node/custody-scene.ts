/** What the tests of custodians have in common. */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { ErrorCode } from '#emrchain/errors.js'
import type { Release } from '#emrchain/node/custody-service.js'
import { openRelease } from '#emrchain/protocol/sealed-release.js'
import { chain as genesis, sign } from '../contract/consent-world.js'
import { type Bench, createBench, SEAL_SECRET, type TestCustodian } from './custody-bench.js'

export const refused = (t: Test, promise: Promise<unknown>, code: ErrorCode, match: object = {}) =>
  t.rejects(promise, { code, ...match }, code)

/** Three custodians, each with a chain of its own, and a patient whose record a doctor may read. */
export async function setUp(t: Test, options = {}) {
  let made: Bench | undefined
  // Registered before the folder is made, so that it goes after the shares have let it go.
  t.teardown(() => made?.close())
  const bench = await createBench(t.testdir(), options)
  made = bench
  const [a, b, c] = [await bench.open('node1'), await bench.open('node2'), await bench.open('node3')]
  return { bench, a, b, c }
}
export async function withRecord(t: Test, change: Parameters<Bench['grant']>[0] = {}) {
  const { bench, a, b, c } = await setUp(t)
  const record = await bench.keepRecord('x', [a, b, c])
  const given = bench.grant(change)
  await bench.mine(given)
  const grant = given.id.bytes
  return { bench, a, b, c, record, grant }
}
export const openIt = (release: Release, record: Uint8Array) =>
  openRelease(SEAL_SECRET, release, { genesis: genesis.bytes, record, ...release })

/** The patient names these from now on. */
export async function name(t: Test, bench: Bench, ...custodians: readonly TestCustodian[]): Promise<void> {
  const [one] = bench.custodians
  const ids = custodians.map(({ id }) => id).sort(Buffer.compare)
  const version = bench.version('patient', { custodians: ids }, one?.chain.contractState())
  t.equal((await bench.mine(version)).at(-1), 0)
}

export const erasureOf = (bench: Bench, record: Uint8Array) =>
  sign('patient', { kind: 'erasure', body: { record, ground: 1 } }, bench.clock.now)
export const filesOf = (folder: string): Buffer[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile())
    .map((path) => readFileSync(path))
export const keyOf = (folder: string): Buffer => {
  const [name = ''] = readdirSync(join(folder, 'shares')).filter((one) => one.startsWith('epoch-'))
  return readFileSync(join(folder, 'shares', name)).subarray(0, 32)
}
export const isIn = (folder: string, bytes: Uint8Array): boolean =>
  filesOf(folder).some((content) => content.includes(Buffer.from(bytes)))

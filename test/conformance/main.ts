/**
 * `npm run conformance`: the cases of the Trustless Gateway against this node, over its embedded store and over a real
 * Kubo, and first against the gateway of that Kubo, which shows that the cases are right. Prints the counts and what
 * cannot apply with its reason. The exit code is 1 where a case failed, or one passed that is said not to apply.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { openFileStore } from '#emrchain/files/choose-file-store.js'
import { bytesOf, keystream, sourceOf } from '../fixtures/file-content.js'
import { type KuboDaemon, startKubo } from '../fixtures/kubo-daemon.js'
import { startNode, type TestNode } from '../fixtures/start-node.js'
import { type Case, casesFor } from './cases.js'
import { carOf, type Dags, makeDags } from './dags.js'
import { faultOf } from './fault-of.js'

interface Exemption {
  readonly stores: readonly string[]
  readonly why: string
  readonly cases: readonly string[]
}
const LIST = new URL('../../test/conformance/cannot-apply.json', import.meta.url)
const exemptions = JSON.parse(readFileSync(LIST, 'utf8')) as readonly Exemption[]

const folder = mkdtempSync(join(tmpdir(), 'emrchain-conformance-'))
const ends: (() => unknown)[] = [() => rmSync(folder, { recursive: true, force: true })]
const scope = {
  testdir: () => folder,
  teardown: (end: () => unknown) => ends.unshift(end),
  comment: (text: string) => console.log(text),
}

/** Keeps the files of the DAGs as the node would keep what it fetched. */
async function keepFiles(dags: Dags, ...where: Parameters<typeof openFileStore>): Promise<void> {
  const store = await openFileStore(...where)
  try {
    for (const cid of dags.files) await store.importCar(cid, sourceOf(carOf(dags, cid)))
  } finally {
    await store.close()
  }
}

/** Why this case cannot apply over a store; undefined where it can. */
function whyNot({ name }: Case, store: string): string | undefined {
  const plain = name.replace(/( \((format=car|Accept Header)\)| - (full request|(single|multi) range))$/, '')
  return exemptions.find(({ stores, cases }) => stores.includes(store) && cases.includes(plain))?.why
}

/** Asks every case of a gateway; the number of surprises. */
async function check(what: string, url: string, cases: readonly Case[], store: string): Promise<number> {
  const counts = new Map<string, { passed: number; failed: number; skipped: number }>()
  const notes = new Map<string, string[]>()
  let surprises = 0
  for (const one of cases) {
    const count = counts.get(one.group) ?? { passed: 0, failed: 0, skipped: 0 }
    counts.set(one.group, count)
    const fault = await faultOf(one, url)
    const why = whyNot(one, store)
    if (why !== undefined && fault !== undefined) {
      count.skipped++
      notes.set(why, [...(notes.get(why) ?? []), one.name])
    } else if (why === undefined && fault === undefined) {
      count.passed++
    } else {
      count.failed++
      surprises++
      console.log(`not ok: ${what}: ${one.name}: ${fault ?? `it passes, but is said not to apply: ${why}`}`)
    }
  }
  console.log(`\n${what}`)
  for (const [group, { passed, failed, skipped }] of counts) {
    console.log(`  ${group}: ${passed} passed, ${failed} failed, ${skipped} cannot apply`)
  }
  for (const [why, names] of notes) {
    console.log(`  cannot apply: ${why}`)
    for (const name of names) console.log(`    ${name}`)
  }
  return surprises
}

/** As docs/operations.md says that Kubo fetches a file from a node. */
async function importByKubo(node: TestNode, kubo: KuboDaemon): Promise<number> {
  const contents = await bytesOf(keystream(700_000, 'conformance'))
  const { cid } = await node.node.createHash({ name: 'large', source: Readable.from([contents]) }, ever)
  const answer = await fetch(`${node.url}/ipfs/${cid}`, { headers: { accept: 'application/vnd.ipld.car' } })
  kubo.ipfs(['dag', 'import'], new Uint8Array(await answer.arrayBuffer()))
  const isSame = kubo.ipfs(['add', '--only-hash', '-Q'], contents).trim() === cid.toString()
  const isWhole = kubo.ipfs(['files', 'stat', '--format=<size>', `/ipfs/${cid}`]).trim() === String(contents.length)
  const isPinned = kubo.ipfs(['pin', 'ls', '--type=recursive', '-q', cid.toString()]).trim() === cid.toString()
  const isRight = isSame && isWhole && isPinned
  console.log(
    `${isRight ? 'ok' : 'not ok'}: ipfs dag import takes a file of this node, ${contents.length} bytes, as ${cid}`,
  )
  return isRight ? 0 : 1
}
const ever = new AbortController().signal

async function main(): Promise<number> {
  const dags = await makeDags()
  const cases = casesFor(dags)
  const names = new Set(cases.map(({ name }) => name))
  const unknown = exemptions
    .flatMap((one) => one.cases)
    .filter((name) => ![...names].some((known) => known.startsWith(name)))
  for (const name of unknown) console.log(`not ok: no case is called: ${name}`)
  let surprises = unknown.length

  const node = await startNode(scope)
  await node.close()
  await keepFiles(dags, 'embedded', { folder: join(node.options.data, 'files') })
  const embedded = await startNode(scope, node.options)

  const kubo = await startKubo(scope)
  if (kubo) {
    surprises += await importByKubo(embedded, kubo)
    for (const root of [dags.mixed, dags.duplicates, dags.sharded, dags.document, dags.holed]) {
      kubo.ipfs(['dag', 'import', '--pin-roots=false', '--allow-big-block'], carOf(dags, root))
    }
    surprises += await check("Kubo's own gateway, as the measure", kubo.gatewayUrl.origin, cases, 'none')
    await keepFiles(dags, kubo.rpcUrl, { folder: '' })
    const behind = await startNode(scope, { ipfs: kubo.rpcUrl.href })
    surprises += await check('emrchain over Kubo', behind.url, cases, 'kubo')
  }
  surprises += await check('emrchain over its embedded store', embedded.url, cases, 'embedded')
  return surprises
}

try {
  process.exitCode = (await main()) === 0 ? 0 : 1
} finally {
  for (const end of ends) await end()
}

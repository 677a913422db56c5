import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { request } from 'undici'
import { SMALL_YOUNG_GENERATION } from '#emrchain/cli/young-generation.js'
import { createOpensslVerify } from '#emrchain/crypto/ed25519-node.js'
import type { Block } from '#emrchain/protocol/block.js'
import { type SignedTransaction, transactionClaim } from '#emrchain/protocol/transaction.js'
import { createBlockMaker, easyNetworkFile, openChain, signerOf } from '../test/fixtures/block-maker.js'
import { type NodeProcess, startNodeProcess } from '../test/fixtures/node-process.js'
import { type BenchmarkOptions, type Figure, figure } from './figures.js'

const RECORDS_A_BLOCK = 500
const AUTHORS = 1_000
const REFERENCE = 5_000
const KIBIBYTE = 1024

/**
 * A new node takes the chain of another one, each a process of its own, over HTTP on this machine, down to the
 * disk: records with labels by a thousand authors, 500 in a block. Beside it the reference: how many of the same
 * signatures node:crypto checks on one thread that does nothing else. Both are taken in turn, run by run.
 */
export async function sync({ folder, runs, records, say }: BenchmarkOptions): Promise<Figure[]> {
  const network = join(folder, 'easy.json')
  writeFileSync(network, JSON.stringify(easyNetworkFile))
  say(`sync: making ${records} records`)
  const source = join(folder, 'source')
  const { height, sample } = await makeChain(source, records)
  const from = await startNodeProcess({ DATA: source, NETWORK: network })
  const measured: { rate: number; reference: number; peak: number; own: number; processor: number }[] = []
  try {
    for (let run = 0; run < runs; run++) {
      const reference = verifyRate(sample)
      const imported = await importOnce(from.url, join(folder, `run-${run}`), { network, height })
      measured.push({ ...imported, rate: records / imported.seconds, reference })
      say(`sync: run ${run + 1} of ${runs}: ${imported.seconds.toFixed(2)} s`)
    }
  } finally {
    await from.end('SIGTERM')
  }
  return [
    figure(
      'import',
      'records/s',
      measured.map(({ rate }) => rate),
    ),
    figure(
      'reference: verify on one thread',
      'signatures/s',
      measured.map(({ reference }) => reference),
    ),
    figure(
      'import against reference',
      'times',
      measured.map(({ rate, reference }) => rate / reference),
    ),
    figure(
      'processor time of the importer',
      'µs a record',
      measured.map(({ processor }) => (processor / records) * 1e6),
    ),
    figure(
      'peak memory of the importer',
      'MiB',
      measured.map(({ peak }) => peak),
    ),
    figure(
      'of it without mapped files, at most',
      'MiB',
      measured.map(({ own }) => own),
    ),
  ]
}

async function makeChain(folder: string, records: number): Promise<{ height: number; sample: SignedTransaction[] }> {
  const maker = createBlockMaker()
  const signers = Array.from({ length: AUTHORS }, (_, at) => signerOf(`author-${at}`))
  const closing: (() => Promise<void>)[] = []
  const { chain, ledger } = await openChain(
    { testdir: () => folder, teardown: (close) => closing.push(close) },
    maker,
    {
      folder,
    },
  )
  const sample: SignedTransaction[] = []
  let parent = maker.genesis
  for (let made = 0; made < records; ) {
    const transactions: SignedTransaction[] = []
    for (; made < records && transactions.length < RECORDS_A_BLOCK; made++) {
      const signer = signers[made % AUTHORS]
      const label = {
        user_id: `user-${made % AUTHORS}`,
        EHR_name: `MRI-${made}`,
        file_name: `MRI-${made}.pdf`,
        size: made,
      }
      if (signer) transactions.push(maker.record(`MRI-${made}`, { signer, label }))
    }
    if (sample.length < REFERENCE) sample.push(...transactions)
    const block: Block = maker.block(parent, transactions)
    await chain.addBlock(block)
    parent = block.header
  }
  await ledger.close()
  return { height: parent.height, sample: sample.slice(0, REFERENCE) }
}

/** Signatures a second, with every key imported once before. */
function verifyRate(transactions: readonly SignedTransaction[]): number {
  const verify = createOpensslVerify()
  const claims = transactions.map(transactionClaim)
  for (const { signature, message, key } of claims.slice(0, AUTHORS)) verify(signature, message, key)
  const before = performance.now()
  for (const { signature, message, key } of claims) {
    if (!verify(signature, message, key)) throw new Error('A signature does not hold.')
  }
  return (claims.length / (performance.now() - before)) * 1_000
}

async function importOnce(from: string, data: string, { network, height }: { network: string; height: number }) {
  const peakFile = `${data}.peak`
  const reporter = new URL('../test/torture/report-peak.js', import.meta.url).href
  const node = await startNodeProcess({ DATA: data, NETWORK: network, PEAK_FILE: peakFile }, [
    ...['--import', reporter],
    SMALL_YOUNG_GENERATION,
  ])
  let own = 0
  const sampling = setInterval(() => {
    own = Math.max(own, ownMemory(node))
  }, 100)
  try {
    const idle = processorSeconds(node)
    const before = performance.now()
    const answer = await request(new URL('/connect_node', node.url), {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ nodes: [from] }),
      headersTimeout: 600_000,
      bodyTimeout: 600_000,
    })
    await answer.body.dump()
    const seconds = (performance.now() - before) / 1_000
    const processor = processorSeconds(node) - idle
    const last = await request(new URL(`/blocks/${height + 1}`, node.url))
    await last.body.dump()
    if (answer.statusCode !== 201 || last.statusCode !== 200) throw new Error('The chain did not arrive.')
    await node.end('SIGTERM')
    return { seconds, processor, own, peak: Number(readFileSync(peakFile, 'utf8')) / KIBIBYTE }
  } catch (error) {
    await node.end('SIGKILL')
    throw error
  } finally {
    clearInterval(sampling)
  }
}

/** Memory that is no mapped file, in MiB; 0 where the system does not tell (proc(5): RssAnon). */
function ownMemory({ pid }: NodeProcess): number {
  try {
    return Number(/RssAnon:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / KIBIBYTE
  } catch {
    return 0
  }
}

/** Time on all processors so far, of all threads; 0 where the system does not tell (proc(5): utime and stime). */
function processorSeconds({ pid }: NodeProcess): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /, '')
      .split(' ')
    return (Number(fields[11]) + Number(fields[12])) / 100
  } catch {
    return 0
  }
}

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createOpensslVerify } from '#emrchain/crypto/ed25519-node.js'
import type { SignedTransaction } from '#emrchain/protocol/transaction.js'
import { easyNetworkFile } from '../test/fixtures/block-maker.js'
import { startNodeProcess } from '../test/fixtures/node-process.js'
import { type BenchmarkOptions, type Figure, figure } from './figures.js'
import { importChain } from './import-chain.js'
import { AUTHORS, growChain, plainLabel } from './make-chain.js'
import { verifyRate } from './verify-rate.js'

const RECORDS_A_BLOCK = 500
const QUICK_RECORDS = 10_000
const REFERENCE = 5_000

/**
 * A new node takes the chain of another one, each a process of its own, over HTTP on this machine, down to the
 * disk: records with labels by a thousand authors, 500 in a block. Beside it the reference: how many of the same
 * signatures node:crypto checks on one thread that does nothing else. Both are taken in turn, run by run.
 */
export async function sync({ folder, runs, records: asked, isQuick, say }: BenchmarkOptions): Promise<Figure[]> {
  const records = isQuick ? Math.min(asked, QUICK_RECORDS) : asked
  const network = join(folder, 'easy.json')
  writeFileSync(network, JSON.stringify(easyNetworkFile))
  say(`sync: making ${records} records`)
  const source = join(folder, 'source')
  const chain = growChain({ folder: source, recordsABlock: RECORDS_A_BLOCK, labelOf: plainLabel })
  const sample: SignedTransaction[] = []
  await chain.growTo(records, ({ transactions }) => {
    if (sample.length < REFERENCE) sample.push(...transactions)
  })
  // That its peer is gone after each run is no news.
  const from = await startNodeProcess({ DATA: source, NETWORK: network, LOG_LEVEL: 'error' })
  const measured: { rate: number; reference: number; peak: number; own: number; processor: number }[] = []
  try {
    for (let run = 0; run < runs; run++) {
      const reference = verifyRate(sample, createOpensslVerify(), AUTHORS)
      const imported = await importChain(from.url, join(folder, `run-${run}`), { network, height: chain.height() })
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

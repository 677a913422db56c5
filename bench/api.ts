import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { easyNetworkFile } from '../test/fixtures/block-maker.js'
import { measureReads, type Reads } from './api-reads.js'
import { prepareWrites, type Writes } from './api-writes.js'
import { type Benchmark, figure } from './figures.js'
import { startHello } from './hello-process.js'
import { growChain, plainLabel } from './make-chain.js'
import { startPrototype } from './peers/prototype-process.js'

/**
 * What a client has of a node over HTTP on this machine, the node a process of its own: how many transactions a second
 * it takes, durably, how long it looks for a record, and how long the whole chain of 10,000 blocks takes. Beside each the
 * program of the paper, and the least that a server of Node.js does, all in turn, run by run.
 */
export const apiBenchmark: Benchmark = async ({ folder, runs, isQuick, say, leaveOut }) => {
  const network = join(folder, 'easy.json')
  writeFileSync(network, JSON.stringify(easyNetworkFile))
  const blocks = isQuick ? 1_000 : 10_000
  say(`api: making ${blocks} blocks`)
  const chain = join(folder, 'chain')
  await growChain({ folder: chain, recordsABlock: 1, labelOf: plainLabel }).growTo(blocks)
  const hello = await startHello()
  const prototype = await startPrototype(leaveOut)
  const written: Writes[] = []
  const read: Reads[] = []
  try {
    await prototype?.seed(blocks, 1)
    const measureWrites = prepareWrites({ network, hello: hello.url, prototype: prototype?.url, isQuick })
    for (let run = 0; run < runs; run++) {
      written.push(await measureWrites(join(folder, `run-${run}`)))
      const times = join(folder, `times-${run}.json`)
      read.push(
        await measureReads({
          ...{ chain, network, blocks, times, isQuick },
          hello: hello.url,
          prototype: prototype?.url,
        }),
      )
      say(`api: run ${run + 1} of ${runs}`)
    }
  } finally {
    await prototype?.end()
    await hello.end()
  }
  return [
    ...figuresOf(written, {
      'POST /transactions, 64 connections': ['submitted', 'requests/s'],
      'of it p50': ['submittedP50', 'ms'],
      'of it p99': ['submittedP99', 'ms'],
      'POST /add_transaction, 64 connections': ['added', 'requests/s'],
      'of it p50 of an answer': ['addedP50', 'ms'],
      'of it p99 of an answer': ['addedP99', 'ms'],
      'prototype: POST /add_transaction, 16 connections': ['prototype', 'requests/s'],
      'prototype: p99': ['prototypeP99', 'ms'],
      'floor: node:http takes the same bodies, 64 connections': ['hello', 'requests/s'],
    }),
    ...figuresOf(read, {
      'POST /get_file_hash by name, server time p50': ['nameServer', 'ms'],
      'by name, seen by the client p50': ['nameClient', 'ms'],
      'by name, the first 500 after the start, server time p50': ['nameCold', 'ms'],
      'by name and user, server time p50': ['userServer', 'ms'],
      'by name and user, seen by the client p50': ['userClient', 'ms'],
      'by name and user, the first 500 of the sort, server time p50': ['userCold', 'ms'],
      'prototype: by name, seen by the client p50': ['prototypeName', 'ms'],
      'floor: node:http takes the same question, seen by the client p50': ['hello', 'ms'],
      'from the first answer until the whole chain is kept as text': ['ready', 's'],
      'growth of memory of the node by then, at most': ['readyMemory', 'MiB'],
      'GET /get_chain, first time, when it is kept': ['chainReady', 'ms'],
      'growth of memory while it answers, at most': ['chainReadyMemory', 'MiB'],
      'GET /get_chain, again': ['chainAgain', 'ms'],
      'of it until the first byte': ['chainFirstByte', 'ms'],
      'growth of memory while it answers again, at most': ['chainMemory', 'MiB'],
      'GET /get_chain, asked for at once after the start': ['chainAtOnce', 'ms'],
      'growth of memory while it answers at once, at most': ['chainAtOnceMemory', 'MiB'],
      'prototype: GET /get_chain': ['prototypeChain', 'ms'],
    }),
  ]
}

/** The figures by their names; those that no run has, for lack of a prototype, are left out. */
const figuresOf = <T extends { readonly [key in keyof T]: number | undefined }>(
  measured: readonly T[],
  named: Readonly<Record<string, readonly [keyof T, string]>>,
) =>
  Object.entries(named).flatMap(([what, [key, unit]]) => {
    const values = measured.flatMap((one) => one[key] ?? [])
    return values.length === 0 ? [] : [figure(what, unit, values)]
  })

import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import pino from 'pino'
import t, { type Test } from 'tap'
import Type from 'typebox'
import { type DemoStep, runSteps } from '#emrchain/cli/demo/demo-steps.js'
import { latencyText } from '#emrchain/cli/demo/demo-text.js'
import { measureLatency } from '#emrchain/cli/demo/latency.js'
import { asCurl, createPaperClient } from '#emrchain/cli/demo/paper-client.js'
import { paperReport } from '#emrchain/cli/demo/paper-report.js'
import { openSharedFile, writeDemoFile } from '#emrchain/cli/demo/shared-file.js'
import { loadConfig } from '#emrchain/config/load-config.js'
import type { PartialNodeOptions } from '#emrchain/config/node-config.js'
import { EmrError } from '#emrchain/errors.js'
import { serveNode } from '#emrchain/http/serve-node.js'
import { paperNetwork } from '#emrchain/protocol/network-parameters.js'

// It goes when the file is done, which is after the nodes have closed.
const folder = t.testdir({ 'other.json': JSON.stringify({ ...paperNetwork, name: 'other' }), files: {} })
const fileRoot = join(folder, 'files')
const { signal } = new AbortController()

async function startNode(t: Test, options: PartialNodeOptions): Promise<string> {
  const config = loadConfig({ port: 0, ipfs: 'embedded', miningThreads: 1, fileRoot, ...options }, {})
  const { url, close } = await serveNode(config, { logger: pino({ level: 'silent' }) })
  t.teardown(close)
  return url
}

/** A file to share and a folder for what comes out, both fresh. */
async function shared(name: string, contents: string) {
  const path = join(folder, name)
  writeFileSync(path, contents)
  const out = join(folder, `${name}-out`)
  mkdirSync(out)
  return { original: await openSharedFile(path, folder, signal), out, fileRoot, signal }
}

t.test('it holds on three fresh nodes, and sees what is not as it must be', async (t) => {
  const node1 = await startNode(t, { data: join(folder, 'one') })
  const node2 = await startNode(t, { data: join(folder, 'two') })
  const node3 = await startNode(t, { data: join(folder, 'three') })
  const stranger = await startNode(t, { data: join(folder, 'stranger'), network: join(folder, 'other.json') })
  const client = createPaperClient(signal)
  t.teardown(client.close)
  const steps: DemoStep[] = []
  const onStep = (step: DemoStep): void => {
    steps.push(step)
  }
  const urls = [node1, node2, node3] as const

  const apart = { client, urls: [node1, node2, stranger] as const, onStep }
  await t.rejects(runSteps({ ...(await shared('apart.txt', 'apart')), ...apart }), {
    code: 'demo_mismatch',
    message: /connect_node answered 201.*other_network/,
  })

  steps.length = 0
  const plan = await shared('first.txt', 'the first')
  const { path, sha256, ends } = await runSteps({ ...plan, client, urls, onStep })
  t.equal(readFileSync(path, 'utf8'), 'the first')
  t.equal(sha256, plan.original.sha256)
  t.same(
    ends.map(({ length }) => length),
    [2, 2, 2],
  )
  t.equal(steps.length, 16)

  await t.rejects(runSteps({ ...(await shared('second.txt', 'the second')), client, urls, onStep }), {
    code: 'demo_mismatch',
    message: /add_transaction is ".* blockchain 3" and not ".* blockchain 2"/,
  })

  const short = {
    name: 'short.pdf',
    path: await writeDemoFile({ fileName: 'short.pdf', bytes: Buffer.alloc(9), source: '' }, folder),
  }
  const measure = { client, urls, fileRoot, rounds: 3, signal }
  await t.rejects(measureLatency({ ...measure, report: short }), {
    code: 'demo_mismatch',
    message: /The Size of the encrypted report is "89" and not "63884"/,
  })

  // The record that still waits since the second run would be in the first block of the measurement.
  await client.call({ method: 'GET', url: `${node1}/mine_block` }, { status: 200, answer: Type.Unknown() })
  const report = paperReport()
  const latency = await measureLatency({
    ...measure,
    report: { name: report.fileName, path: await writeDemoFile(report, folder) },
  })
  t.equal(latency.length, 6)
  t.match(latencyText(latency), /^function +min +mean +p50 +p95 +max\ncreate_hash +\d+\.\d /)
})

t.test('a call takes the answer that it expects, and no other', async (t) => {
  const server = createServer((request, answer) => {
    if (request.url === '/never') return
    answer.statusCode = request.url === '/refused' ? 500 : 200
    answer.end(request.url === '/text' ? 'not JSON' : '{"valid":true}')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const end = new AbortController()
  const client = createPaperClient(end.signal)
  t.teardown(async () => {
    await client.close()
    server.close()
  })
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const get = (path: string, answer: Type.TSchema) =>
    client.call({ method: 'GET', url: base + path }, { status: 200, answer })
  const valid = Type.Object({ valid: Type.Boolean() })

  t.match(await get('/', valid), { status: 200, answer: { valid: true }, ms: Number })
  await t.rejects(get('/', Type.Object({ valid: Type.String() })), { code: 'demo_mismatch' })
  await t.rejects(get('/text', valid), { code: 'demo_mismatch', message: /answered 200: not JSON/ })
  await t.rejects(get('/refused', valid), { code: 'demo_mismatch', message: /answered 500/ })
  const waiting = t.rejects(get('/never', valid), { code: 'cancelled' })
  await once(server, 'request')
  end.abort(new EmrError('cancelled'))
  await waiting
})

t.test('a call is shown as a shell takes it', async (t) => {
  const url = 'http://127.0.0.1:5002/create_hash'
  t.equal(
    asCurl({ method: 'POST', url, json: { file_path: "O'Neill.aes" } }),
    `curl -X POST ${url} -H 'content-type: application/json' -d '{"file_path":"O'\\''Neill.aes"}'`,
  )
  t.equal(asCurl({ method: 'GET', url }), `curl '${url}'`)
  t.equal(asCurl({ method: 'POST', url, upload: { path: '/x/a.aes', name: 'a.aes' } }), `curl -F 'file=@a.aes' ${url}`)
})

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import pino from 'pino'
import t, { type Test } from 'tap'
import { loadConfig } from '#emrchain/config/load-config.js'
import type { PartialNodeOptions } from '#emrchain/config/node-config.js'
import { serveNode } from '#emrchain/http/serve-node.js'
import { paperNetwork } from '#emrchain/protocol/network-parameters.js'

/** The part of newman, which has no types, that is used here. */
interface Newman {
  run(
    options: { collection: object; environment: { values: { key: string; value: string }[] } },
    done: (error: Error | null, summary: { run: Run }) => void,
  ): void
}

interface Run {
  stats: { requests: { total: number } }
  failures: { source?: { name?: string }; error: { name: string; test?: string; message: string } }[]
  executions: { item: { name: string }; response?: { code: number }; assertions?: object[] }[]
}

interface Collection {
  item: { name: string; request: { method: string; url: { raw: string } }; event: { script: { exec: string[] } }[] }[]
  variable: { key: string; value: string }[]
}

const newman: Newman = createRequire(import.meta.url)('newman')
const collection: Collection = JSON.parse(readFileSync('docs/emrchain.postman_collection.json', 'utf8'))

// It goes when the file is done, which is after the nodes have closed.
const folder = t.testdir({
  'here.pdf.aes': 'a file under the file root of the nodes',
  'other.json': JSON.stringify({ ...paperNetwork, name: 'other' }),
})

const replay = (variables: Readonly<Record<string, string>>): Promise<Run> =>
  new Promise((resolve, reject) => {
    const values = Object.entries(variables).map(([key, value]) => ({ key, value }))
    newman.run({ collection: structuredClone(collection), environment: { values } }, (error, summary) =>
      error ? reject(error) : resolve(summary.run),
    )
  })

async function startNode(t: Test, options: PartialNodeOptions): Promise<string> {
  const config = loadConfig({ port: 0, ipfs: 'embedded', miningThreads: 1, ...options }, {})
  const { url, close } = await serveNode(config, { logger: pino({ level: 'silent' }) })
  t.teardown(close)
  return url
}

/** Status of the answer to a call. */
const statusOf = (executions: Run['executions'], name: string): number | undefined =>
  executions.find(({ item }) => item.name === name)?.response?.code

t.test('its variables are the nodes of the example file', async (t) => {
  const { nodes } = JSON.parse(readFileSync('nodes.example.json', 'utf8'))
  const variables = Object.fromEntries(collection.variable.map(({ key, value }) => [key, value]))
  t.same([variables.node1, variables.node2, variables.node3], nodes)
  const paths = new Set(collection.item.map(({ request }) => request.url.raw.replace(/^.*\//, '')))
  const paper = ['create_hash', 'connect_node', 'add_transaction', 'mine_block', 'get_chain', 'get_file_hash']
  t.same(
    [...paper, 'get_file', 'is_valid', 'replace_chain'].filter((path) => !paths.has(path)),
    [],
  )
})

t.test('the collection replays on three nodes, twice', async (t) => {
  const node = (name: string) => startNode(t, { data: join(folder, name), fileRoot: folder })
  const [node1, node2, node3] = [await node('one'), await node('two'), await node('three')]
  // The second time there are blocks and peers already.
  for (const [file_path, status] of [
    ['here.pdf.aes', 201],
    ['not-here.pdf.aes', 404],
  ] as const) {
    const { stats, failures, executions } = await replay({ node1, node2, node3, file_path })
    t.same(
      failures.map(({ source, error }) => `${source?.name}: ${error.test ?? error.name}: ${error.message}`),
      [],
    )
    t.equal(stats.requests.total, collection.item.length)
    for (const { item, assertions = [] } of executions) t.ok(assertions.length > 0, `${item.name} is checked`)
    t.equal(statusOf(executions, 'create_hash (file of the node)'), status)
  }
})

t.test('it sees when a node answers otherwise', async (t) => {
  const node1 = await startNode(t, { data: join(folder, 'four') })
  const node2 = await startNode(t, { data: join(folder, 'five') })
  const node3 = await startNode(t, { data: join(folder, 'stranger'), network: join(folder, 'other.json') })
  const { failures } = await replay({ node1, node2, node3 })
  const failed = new Set(failures.map(({ source }) => source?.name))
  t.ok(failed.has('connect_node'), 'a node of another network is refused')
  t.ok(failed.has('get_file_hash (by file name)'), 'and does not have the record')
  t.notOk(failed.has('get_chain'), 'while the other two go on')
})

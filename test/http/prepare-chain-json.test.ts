import { EventEmitter, once } from 'node:events'
import { PassThrough } from 'node:stream'
import Fastify from 'fastify'
import t from 'tap'
import { EmrError } from '#emrchain/errors.js'
import { prepareChainJson } from '#emrchain/http/prepare-chain-json.js'
import type { NodeEvents } from '#emrchain/node/emr-node.js'
import { createBlockMaker } from '../fixtures/block-maker.js'

const { genesis } = createBlockMaker()
const tip = { header: genesis, signature: new Uint8Array(0), work: 0n, transactionCount: 0 }

/** A server whose texts are made by `step`, which is told how many steps were taken before. */
function serverWith(step: (before: number) => Promise<boolean>) {
  const events = new EventEmitter<NodeEvents>()
  const log = new PassThrough()
  const server = Fastify({ logger: { stream: log, level: 'warn' } })
  const taken = new EventEmitter()
  let steps = 0
  const prepareNext = async (): Promise<boolean> => {
    const more = await step(steps++)
    taken.emit('step', steps)
    return more
  }
  prepareChainJson(server, { prepareNext }, { events })
  return { server, log, taken, events, steps: () => steps }
}

t.test('steps are taken one after another, and again when the chain has changed', async (t) => {
  const { server, taken, events, steps } = serverWith(async (before) => before < 3)
  await server.ready()
  t.equal(steps(), 0, 'not before the server listens')
  await server.listen({ port: 0, host: '127.0.0.1' })
  while (steps() < 4) await once(taken, 'step')
  await new Promise((resolve) => setImmediate(resolve))
  t.equal(events.listenerCount('tip'), 1)
  events.emit('tip', { tip, connected: [], disconnected: [] })
  await once(taken, 'step')
  t.equal(steps(), 5)
  await server.close()
  t.equal(events.listenerCount('tip'), 0)
})

t.test('a server that closes waits for the step under way, and takes no other', async (t) => {
  let end = (): void => undefined
  const { server, taken, steps } = serverWith(async () => {
    taken.emit('begun')
    await new Promise<void>((resolve) => {
      end = resolve
    })
    return true
  })
  const begun = once(taken, 'begun')
  await server.listen({ port: 0, host: '127.0.0.1' })
  await begun
  let isClosed = false
  const closed = server.close().then(() => {
    isClosed = true
  })
  await new Promise((resolve) => setImmediate(resolve))
  t.notOk(isClosed)
  end()
  await closed
  t.equal(steps(), 1)
})

t.test('a damaged chain ends it with a line in the log', async (t) => {
  const { server, log, steps } = serverWith(async () => {
    throw new EmrError('chain_damaged')
  })
  await server.listen({ port: 0, host: '127.0.0.1' })
  const [line] = await once(log, 'data')
  const { msg, code } = JSON.parse(String(line))
  t.same({ msg, code }, { msg: 'the chain is not made ready as text', code: 'chain_damaged' })
  t.equal(steps(), 1)
  await server.close()
})

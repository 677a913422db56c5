import { once } from 'node:events'
import { setTimeout } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import { isEmrError } from '../errors.js'
import type { EmrNode } from '../node/emr-node.js'
import type { ChainJson } from './chain-json.js'

/** How much longer than a step the pause after it is: at most a fifth of the time goes into preparing. */
const PAUSE_OF_STEP = 4
/** The shortest pause, in ms. */
const LEAST_PAUSE = 10
/** A pause in which the event loop was busy for a larger part than this is followed by another. */
const BUSY = 0.5

/**
 * Has the texts of the chain made before anybody asks, from when the server listens until it closes: a span at a time, while
 * the node has little else to do. See docs/decisions/0022-texts-of-the-chain-are-made-ahead.md.
 */
export function prepareChainJson(
  server: FastifyInstance,
  json: Pick<ChainJson, 'prepareNext'>,
  { events }: Pick<EmrNode, 'events'>,
): void {
  const closing = new AbortController()
  const { signal } = closing
  let preparing: Promise<void> | undefined

  async function rest(ms: number): Promise<void> {
    let before: ReturnType<typeof performance.eventLoopUtilization>
    do {
      before = performance.eventLoopUtilization()
      await setTimeout(ms, undefined, { signal, ref: false })
    } while (performance.eventLoopUtilization(before).utilization > BUSY)
  }
  async function prepare(): Promise<void> {
    for (let pause = LEAST_PAUSE; ; ) {
      await rest(pause)
      const began = performance.now()
      if (!(await json.prepareNext())) await once(events, 'tip', { signal })
      else pause = Math.max(LEAST_PAUSE, PAUSE_OF_STEP * (performance.now() - began))
    }
  }

  server.addHook('onListen', async () => {
    preparing = prepare().catch((error: unknown) => {
      if (signal.aborted) return
      // Whoever asks for the chain hears of it as well.
      server.log.warn(isEmrError(error) ? { code: error.code } : { err: error }, 'the chain is not made ready as text')
    })
  })
  server.addHook('onClose', async () => {
    closing.abort()
    await preparing
  })
}

import { readFileSync } from 'node:fs'
import { request } from 'undici'
import { SMALL_YOUNG_GENERATION } from '#emrchain/cli/young-generation.js'
import { startNodeProcess } from '../test/fixtures/node-process.js'
import { processorSeconds, watchOwnMemory } from './process-usage.js'

const KIBIBYTE = 1024
/** A chain of a million records is a matter of minutes. */
const PATIENCE = 3_600_000

export interface Import {
  readonly seconds: number
  /** Processor time of all threads of the importer, in seconds. */
  readonly processor: number
  /** The most memory that it held, and the most of it that is no mapped file, in MiB. */
  readonly peak: number
  readonly own: number
}

/**
 * A new node, with a process and a data folder of its own, takes the chain of the node at `from`, over HTTP and down to the disk.
 *
 * @param options.height of the tip of that chain
 * @throws Error when the chain did not arrive
 */
export async function importChain(
  from: string,
  data: string,
  { network, height }: { network: string; height: number },
): Promise<Import> {
  const peakFile = `${data}.peak`
  const reporter = new URL('../test/torture/report-peak.js', import.meta.url).href
  const node = await startNodeProcess({ DATA: data, NETWORK: network, PEAK_FILE: peakFile }, [
    ...['--import', reporter],
    SMALL_YOUNG_GENERATION,
  ])
  const mostOwn = watchOwnMemory(node.pid)
  try {
    const idle = processorSeconds(node.pid)
    const before = performance.now()
    const answer = await request(new URL('/connect_node', node.url), {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ nodes: [from] }),
      headersTimeout: PATIENCE,
      bodyTimeout: PATIENCE,
    })
    await answer.body.dump()
    const seconds = (performance.now() - before) / 1_000
    const processor = processorSeconds(node.pid) - idle
    const last = await request(new URL(`/blocks/${height + 1}`, node.url))
    await last.body.dump()
    if (answer.statusCode !== 201 || last.statusCode !== 200) throw new Error('The chain did not arrive.')
    const own = mostOwn()
    await node.end('SIGTERM')
    return { seconds, processor, own, peak: Number(readFileSync(peakFile, 'utf8')) / KIBIBYTE }
  } catch (error) {
    await node.end('SIGKILL')
    throw error
  } finally {
    mostOwn()
  }
}

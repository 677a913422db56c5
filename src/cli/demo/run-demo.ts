import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type LaunchedNetwork, launchNetwork } from '../network/launch-network.js'
import { choosePorts } from './choose-ports.js'
import { type DemoStep, runSteps } from './demo-steps.js'
import { type Latency, measureLatency } from './latency.js'
import { createPaperClient } from './paper-client.js'
import { paperReport } from './paper-report.js'
import type { ChainEnd } from './same-chain.js'
import { openSharedFile, type SharedFile, writeDemoFile } from './shared-file.js'

/** Ports of the paper's nodes. */
export const PAPER_PORTS = [5002, 5003, 5004] as const

export interface DemoPlan {
  /** Path of the file that is shared; undefined: the MR image. */
  readonly file?: string | undefined
  /** File store of the nodes: URL of a Kubo RPC API, or "embedded". */
  readonly ipfs: string
  /** How often each function is measured. */
  readonly rounds: number
  /** Whether the temporary folder stays. */
  readonly keep: boolean
  readonly environment: NodeJS.ProcessEnv
  readonly signal: AbortSignal
  readonly listener: DemoListener
}

/** Hears of everything as it happens. */
export interface DemoListener {
  onFile(file: SharedFile): void
  onNodes(urls: readonly string[], folder: string): void
  onStep(step: DemoStep): void
  onShared(shared: Shared): void
}

/** What came out at the third node, and the end of each node's chain. */
export interface Shared {
  readonly path: string
  readonly sha256: string
  readonly ends: readonly ChainEnd[]
}

/** Everything that the demonstration did; all of it held. */
export interface DemoResult extends Shared {
  readonly file: SharedFile
  readonly urls: readonly string[]
  readonly steps: readonly DemoStep[]
  readonly latency: readonly Latency[]
  /** The folder of all this; gone by now, unless it was to be kept. */
  readonly folder: string
}

/**
 * Shows the way of a file through a network of three nodes in a temporary folder, and measures it.
 *
 * @throws EmrError `demo_mismatch` with what differed, `node_ended`, `cancelled`, `demo_image_missing`,
 * `input_unreadable`; no process is left then, and no file either unless they are to be kept
 */
export async function runDemo(plan: DemoPlan): Promise<DemoResult> {
  const folder = await mkdtemp(join(tmpdir(), 'emrchain-demo-'))
  try {
    return await runInFolder(folder, plan)
  } catch (error) {
    // Streams and calls that were broken off throw errors of their own.
    throw plan.signal.aborted ? plan.signal.reason : error
  } finally {
    if (!plan.keep) await rm(folder, { recursive: true, force: true })
  }
}

async function runInFolder(folder: string, plan: DemoPlan): Promise<DemoResult> {
  const places = { originals: join(folder, 'originals'), files: join(folder, 'files'), out: join(folder, 'received') }
  for (const place of Object.values(places)) await mkdir(place, { mode: 0o700 })
  const file = await openSharedFile(plan.file, places.originals, plan.signal)
  plan.listener.onFile(file)

  const [first = 0, second = 0, third = 0] = await choosePorts(PAPER_PORTS)
  const urls = [urlOf(first), urlOf(second), urlOf(third)] as const
  plan.listener.onNodes(urls, folder)
  const network = await launchNetwork({
    file: {
      nodes: [first, second, third].map((port) => ({ url: urlOf(port), host: '127.0.0.1', port })),
      text: JSON.stringify({ nodes: urls }),
    },
    folder: join(folder, 'nodes'),
    flags: ['--file-root', places.files, '--ipfs', plan.ipfs, '--network', 'paper'],
    environment: withoutSettings(plan.environment),
    // That is one of the steps.
    connect: false,
    signal: plan.signal,
  })
  try {
    const done = await showAndMeasure(plan, { network, file, urls, places })
    await network.stop()
    return { ...done, file, urls, folder }
  } catch (error) {
    // What went wrong first is what counts; the nodes only have to be gone.
    await network.stop().catch(() => undefined)
    throw network.failure.aborted ? network.failure.reason : error
  }
}

async function showAndMeasure(
  { signal: stopped, rounds, listener }: DemoPlan,
  {
    network,
    file,
    urls,
    places,
  }: {
    network: LaunchedNetwork
    file: SharedFile
    urls: readonly [string, string, string]
    places: { originals: string; files: string; out: string }
  },
): Promise<Shared & Pick<DemoResult, 'steps' | 'latency'>> {
  const signal = AbortSignal.any([stopped, network.failure])
  const client = createPaperClient(signal)
  const steps: DemoStep[] = []
  const onStep = (step: DemoStep): void => {
    steps.push(step)
    listener.onStep(step)
  }
  try {
    const shared = await runSteps({
      client,
      urls,
      original: file,
      fileRoot: places.files,
      out: places.out,
      signal,
      onStep,
    })
    listener.onShared(shared)
    const paper = paperReport()
    const report = { name: paper.fileName, path: await writeDemoFile(paper, places.originals) }
    const latency = await measureLatency({ client, urls, report, fileRoot: places.files, rounds, signal })
    return { ...shared, steps, latency }
  } finally {
    await client.close()
  }
}

const urlOf = (port: number): string => `http://127.0.0.1:${port}`

/** The demonstration is the same whatever a person has set for nodes of their own. */
const withoutSettings = (environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv =>
  Object.fromEntries(Object.entries(environment).filter(([name]) => !name.startsWith('EMRCHAIN_')))

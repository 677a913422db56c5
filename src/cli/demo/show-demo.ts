import { cpus } from 'node:os'
import { interruption } from '../interruption.js'
import { print } from '../output.js'
import type { DemoStep } from './demo-steps.js'
import { demoText, latencyText } from './demo-text.js'
import type { Latency } from './latency.js'
import { paperReportSize } from './paper-report.js'
import { type DemoResult, runDemo } from './run-demo.js'

export interface DemoFlags {
  readonly ipfs: string
  readonly rounds: number
  readonly keep?: boolean
}

/**
 * Runs the demonstration and shows it: for people as it happens, for programs as one document at its end.
 *
 * @throws EmrError of `runDemo`
 */
export async function showDemo(
  file: string | undefined,
  { ipfs, rounds, keep = false, json }: DemoFlags & { json: boolean },
): Promise<void> {
  const listener = demoText(json ? () => undefined : (line) => void process.stdout.write(`${line}\n`), { ipfs, rounds })
  const signal = interruption({ ofReader: true })
  const result = await runDemo({ file, ipfs, rounds, keep, environment: process.env, signal, listener })
  const machine = `${cpus()[0]?.model.trim()}, ${cpus().length} cores, Node.js ${process.version}`
  const text = [latencyText(result.latency), `On ${machine}.`, ...(keep ? [`All files are in ${result.folder}.`] : [])]
  await print({ json }, { document: demoDocument(result, { ipfs, rounds, keep, machine }), text: text.join('\n') })
}

function demoDocument(
  { file, urls, steps, path, sha256, ends, latency, folder }: DemoResult,
  { ipfs, rounds, keep, machine }: { ipfs: string; rounds: number; keep: boolean; machine: string },
): object {
  const { name, source, size } = file
  return {
    file: { name, source, size, sha256: file.sha256 },
    nodes: urls,
    fileStore: ipfs,
    steps: steps.map(stepDocument),
    received: { path: keep ? path : null, sha256, bytesEqual: sha256 === file.sha256 },
    chains: ends,
    latency: { unit: 'ms', rounds, reportSize: paperReportSize, machine, functions: latency.map(rounded) },
    folder: keep ? folder : null,
  }
}

const stepDocument = ({ title, request, status, answer, ms }: DemoStep, at: number): object => ({
  number: at + 1,
  title,
  ...(request && {
    request: {
      method: request.method,
      url: request.url,
      body: request.json ?? null,
      upload: request.upload?.name ?? null,
    },
    status,
  }),
  answer,
  ms: round(ms),
})

const round = (ms: number): number => Math.round(ms * 1_000) / 1_000

const rounded = (latency: Latency): object =>
  Object.fromEntries(
    Object.entries(latency).map(([name, value]) => [name, typeof value === 'number' ? round(value) : value]),
  )

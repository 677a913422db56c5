import { printable, table } from '../text.js'
import type { DemoStep } from './demo-steps.js'
import type { Latency } from './latency.js'
import { asCurl } from './paper-client.js'
import { paperReportSize } from './paper-report.js'
import type { DemoListener } from './run-demo.js'

const WIDTH = 110

/** Tells the demonstration to people, line by line, as it happens. */
export function demoText(
  writeLine: (line: string) => void,
  { ipfs, rounds }: { ipfs: string; rounds: number },
): DemoListener {
  let number = 0
  return {
    onFile({ name, size, sha256, source }) {
      writeLine(`File    ${printable(name)}, ${size.toLocaleString('en')} bytes`)
      writeLine(`        SHA-256 ${sha256}`)
      for (const line of wrapped(source, WIDTH - 8)) writeLine(`        ${line}`)
    },
    onNodes(urls, folder) {
      writeLine(`Nodes   ${urls.join('  ')}`)
      writeLine(`        in ${folder}, file store: ${ipfs}`)
    },
    onStep(step) {
      writeLine('')
      for (const line of stepLines(++number, step)) writeLine(line)
    },
    onShared({ sha256, ends }) {
      writeLine('')
      writeLine(`The file that came out on node 3 is the file that went in on node 1, byte for byte.`)
      writeLine(`  SHA-256 ${sha256}`)
      writeLine(`All ${ends.length} nodes have the same chain of ${ends[0]?.length} blocks, and it is valid.`)
      writeLine('')
      const size = paperReportSize.toLocaleString('en')
      writeLine(`Latency, in ms: ${rounds} rounds a function, with a report of ${size} bytes (IPFS size 63884)`)
    },
  }
}

/** The paper's figure 5. */
export const latencyText = (latency: readonly Latency[]): string => {
  const columns = ['min', 'mean', 'p50', 'p95', 'max'] as const
  const rows = latency.map((row) => columns.map((column) => row[column].toFixed(1)))
  const widths = columns.map((column, at) => Math.max(column.length, ...rows.map((row) => row[at]?.length ?? 0)))
  const right = (cells: readonly string[]): string[] => cells.map((cell, at) => cell.padStart(widths[at] ?? 0))
  const body = latency.map((row, at) => [row.function, ...right(rows[at] ?? [])])
  return table(['function', ...right(columns)], body)
}

function stepLines(number: number, { title, request, status, answer, ms }: DemoStep): string[] {
  const outcome = `${status === undefined ? '' : `${status}, `}${ms.toFixed(1)} ms`
  const json = JSON.stringify(answer, undefined, 2).split('\n').map(printable)
  return [
    `${String(number).padStart(2)}. ${title}`,
    ...(request ? [`    $ ${printable(asCurl(request))}`] : []),
    ...json.map((line) => `    ${line}`),
    `    (${outcome})`,
  ]
}

function wrapped(text: string, width: number): string[] {
  const lines: string[] = []
  for (const word of printable(text).split(' ')) {
    const last = lines.at(-1)
    if (last === undefined || last.length + word.length >= width) lines.push(word)
    else lines[lines.length - 1] = `${last} ${word}`
  }
  return lines
}

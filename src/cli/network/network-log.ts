import { styleText } from 'node:util'
import { lineForPeople } from '../log-stream.js'
import type { NodeAddress } from './nodes-file.js'

/** What is printed of a network while it runs. */
export interface NetworkLog {
  /** A line that a node wrote. */
  line(node: NodeAddress, line: string): void
  /** All nodes answer and are connected. */
  ready(): void
}

/** For people, or for programs: one JSON document a line, {"node","line"} and, once, {"ready":true,"nodes"}. */
export const createNetworkLog = (nodes: readonly NodeAddress[], { json }: { json: boolean }): NetworkLog =>
  json ? jsonLog(nodes) : textLog(nodes)

// The logs of the nodes run on for ever and slowly; nothing waits for who reads them.
const writeLine = (line: string): void => void process.stdout.write(`${line}\n`)

const colours = ['cyan', 'magenta', 'yellow', 'green', 'blue'] as const

function textLog(nodes: readonly NodeAddress[]): NetworkLog {
  const isTerminal = process.stdout.isTTY
  const isColoured = isTerminal && !process.env.NO_COLOR
  const width = Math.max(...nodes.map(({ port }) => String(port).length))
  const prefixes = new Map(
    nodes.map(({ port }, at) => {
      const prefix = `${String(port).padStart(width)} |`
      return [port, isColoured ? styleText(colours[at % colours.length] ?? 'cyan', prefix) : prefix]
    }),
  )
  return {
    line: ({ port }, line) => writeLine(`${prefixes.get(port)} ${isTerminal ? forPeople(line) : line}`),
    ready: () => writeLine('ready'),
  }
}

/** The nodes write JSON, since they write to a pipe; beside it there is the line that says where each answers. */
const forPeople = (line: string): string => (line.startsWith('{"level":') ? lineForPeople(line).trimEnd() : line)

const jsonLog = (nodes: readonly NodeAddress[]): NetworkLog => ({
  line: ({ url }, line) => writeLine(JSON.stringify({ node: url, line })),
  ready: () => writeLine(JSON.stringify({ ready: true, nodes: nodes.map(({ url }) => url) })),
})

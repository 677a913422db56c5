import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { Value } from '../../typebox.js'
import { SMALL_YOUNG_GENERATION } from '../young-generation.js'
import type { NodeAddress } from './nodes-file.js'
import { PARENT_VARIABLE, ReadyMessage } from './parent-link.js'

const PROGRAM_PATH = '../../../bin/emrchain.js'
const PROGRAM = fileURLToPath(new URL(PROGRAM_PATH, import.meta.url))
/** How much of its log is kept for the day that a node ends by itself. */
const KEPT_LINES = 20

/** How a process ended. */
export interface NodeExit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** A node in a process of its own. */
export interface NodeProcess {
  readonly address: NodeAddress
  readonly pid: number | undefined
  /** Resolves when the node answers; stays open when it ends before. */
  readonly ready: Promise<void>
  /** Resolves when the process is gone and all of its output was read. Never rejects. */
  readonly exited: Promise<NodeExit>
  /** The newest lines of its log, oldest first. */
  lastLines(): string[]
  /** Lets the node close; nothing happens where it is gone already. */
  letGo(): void
  /** Ends the process at once. */
  kill(): void
}

export interface NodeProcessOptions {
  /** Options of `emrchain start` beside host and port. */
  readonly flags: readonly string[]
  readonly environment: NodeJS.ProcessEnv
  /** Hears every line that the node writes. */
  onLine(line: string): void
}

/**
 * Starts `emrchain start` for this address. The channel between the two processes is what keeps the node
 * alive: it closes when this process lets go of it, and also when this process is killed.
 */
export function startNodeProcess(address: NodeAddress, options: NodeProcessOptions): NodeProcess {
  const place = ['--host', address.host, '--port', String(address.port)]
  const child = spawn(process.execPath, [SMALL_YOUNG_GENERATION, PROGRAM, 'start', ...place, ...options.flags], {
    env: { ...options.environment, [PARENT_VARIABLE]: '1' },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    // Ctrl-C reaches every process of a terminal's group; the nodes are to hear of it from here, once.
    detached: true,
  })
  const lines: string[] = []
  const take = (line: string): void => {
    lines.push(line)
    if (lines.length > KEPT_LINES) lines.shift()
    options.onLine(line)
  }
  const outputs = [child.stdout, child.stderr].flatMap((stream) => stream ?? [])
  const outputEnded = outputs.map((stream) => readLines(stream, take))

  return {
    address,
    pid: child.pid,
    ready: new Promise((resolve) => {
      child.on('message', (message) => {
        if (Value.Check(ReadyMessage, message)) resolve()
      })
    }),
    exited: Promise.all([exitOf(child, take), ...outputEnded]).then(([exit]) => exit),
    lastLines: () => [...lines],
    letGo() {
      if (child.connected) child.disconnect()
    },
    kill() {
      child.kill('SIGKILL')
    },
  }
}

/** Resolves when the last line was read. */
async function readLines(stream: Readable, take: (line: string) => void): Promise<void> {
  for await (const line of createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY })) take(line)
}

// Not the event `close`: it does not come after `disconnect` was called here.
const exitOf = (child: ChildProcess, take: (line: string) => void): Promise<NodeExit> =>
  new Promise((resolve) => {
    child.once('exit', (code, signal) => resolve({ code, signal }))
    // A process that could not be started has no other ending.
    child.on('error', (error) => {
      take(error.message)
      if (child.pid === undefined) resolve({ code: null, signal: null })
    })
  })

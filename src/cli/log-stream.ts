import { printable } from './text.js'

const levels: Readonly<Record<number, string>> = {
  10: 'trace',
  20: 'debug',
  30: 'info',
  40: 'warn',
  50: 'error',
  60: 'fatal',
}
const routine = new Set(['level', 'time', 'pid', 'hostname', 'msg', 'err'])

/**
 * Where a node writes its log: JSON lines, as programs read them, or on a terminal a line for people,
 * `12:31:02 warn trouble with a peer (peer=http://127.0.0.1:5003, code=peer_timeout)`.
 */
export const logStream = ({ forPeople }: { forPeople: boolean }): { write(line: string): void } => ({
  write(line) {
    process.stderr.write(forPeople ? lineForPeople(line) : line)
  },
})

/** A line of a node's log as people read it. */
export function lineForPeople(line: string): string {
  const entry: unknown = JSON.parse(line)
  if (typeof entry !== 'object' || entry === null) return line
  const { level, time, msg, err } = entry as {
    level: number
    time: number
    msg?: string
    err?: { message?: string; code?: string; type?: string }
  }
  const facts = Object.entries(entry)
    .filter(([name]) => !routine.has(name))
    .map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
  const about = err?.message ?? err?.code ?? err?.type
  if (about !== undefined) facts.push(String(about))
  const clock = new Date(time).toISOString().slice(11, 19)
  const told = facts.length > 0 ? ` (${facts.join(', ')})` : ''
  return `${clock} ${(levels[level] ?? '').padEnd(5)} ${printable(`${msg ?? ''}${told}`)}\n`
}

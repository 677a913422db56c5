import { createInterface } from 'node:readline/promises'
import { EmrError } from '../errors.js'
import { printable } from './text.js'

/** The streams of a terminal. */
interface Terminal {
  readonly input: NodeJS.ReadableStream & { readonly isTTY?: boolean | undefined }
  readonly output: NodeJS.WritableStream & { readonly isTTY?: boolean | undefined }
}

/**
 * Whether the person at the terminal means it, who has to say yes; without a terminal it is meant, as a script says it.
 *
 * @throws EmrError `cancelled`
 */
export async function isMeant(
  statement: string,
  signal: AbortSignal,
  { input, output }: Terminal = { input: process.stdin, output: process.stderr },
): Promise<boolean> {
  if (!input.isTTY || !output.isTTY) return true
  const terminal = createInterface({ input, output })
  const closed = new Promise<string>((resolve) => terminal.once('close', () => resolve('')))
  terminal.once('SIGINT', () => terminal.close())
  try {
    const asked = terminal.question(`${printable(statement)}\nIs it meant? (yes/no) `, { signal })
    const answer = await Promise.race([asked, closed])
    return /^y(es)?$/i.test(answer.trim())
  } catch (cause) {
    throw new EmrError('cancelled', undefined, {}, { cause })
  } finally {
    terminal.close()
  }
}

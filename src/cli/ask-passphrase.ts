import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import { EmrError } from '../errors.js'

export interface AskOptions {
  /** Asks twice, since nobody sees what is typed. */
  readonly isNew?: boolean
  readonly signal: AbortSignal
}

/**
 * The passphrase of the wallet: EMRCHAIN_PASSPHRASE, or what is typed at a terminal, which does not show it.
 *
 * @throws EmrError `passphrase_missing`, `passphrase_mismatch` if two typed ones differ, and `cancelled`
 */
export async function askPassphrase(path: string, { isNew = false, signal }: AskOptions): Promise<string> {
  const given = process.env.EMRCHAIN_PASSPHRASE
  if (given !== undefined && given !== '') return given
  if (!process.stdin.isTTY || !process.stderr.isTTY) throw new EmrError('passphrase_missing')
  const passphrase = await askSecret(`${isNew ? 'New passphrase' : 'Passphrase'} for ${path}: `, signal)
  if (passphrase === '') throw new EmrError('passphrase_missing')
  if (isNew && (await askSecret('The same again: ', signal)) !== passphrase) {
    throw new EmrError('passphrase_mismatch')
  }
  return passphrase
}

/** One line from the terminal, of which nothing is shown. */
export function askSecret(question: string, signal: AbortSignal): Promise<string> {
  process.stderr.write(question)
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() })
  const terminal = createInterface({ input: process.stdin, output: silent, terminal: true, historySize: 0 })
  return new Promise((resolve, reject) => {
    const cancel = () => {
      reject(new EmrError('cancelled'))
      terminal.close()
    }
    terminal.once('line', (line) => {
      resolve(line)
      terminal.close()
    })
    // In this mode Ctrl-C and Ctrl-D come as keys.
    terminal.once('SIGINT', cancel)
    terminal.once('close', () => {
      signal.removeEventListener('abort', cancel)
      process.stderr.write('\n')
      reject(new EmrError('cancelled'))
    })
    if (signal.aborted) cancel()
    else signal.addEventListener('abort', cancel, { once: true })
  })
}

import { open } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import { importKey } from '../client/wallet.js'
import { EmrError } from '../errors.js'
import { askSecret } from './ask-passphrase.js'

/** More than any key takes, in bytes. */
const MAX_KEY_TEXT = 65_536

/**
 * The text of a key from a file, from stdin (`-`), or typed at a terminal, which does not show it.
 *
 * @throws EmrError `input_unreadable`, `key_malformed`, `cancelled`
 */
export async function readKeyText(from: string, signal: AbortSignal): Promise<string> {
  if (from !== '-') return readKeyFile(from)
  return process.stdin.isTTY ? askSecret('Key: ', signal) : text(process.stdin)
}

/**
 * The key in a file: 64 hexadecimal digits, as `encrypt` writes them, or a text of `key export`.
 *
 * @throws EmrError `input_unreadable`, `key_malformed`
 */
export async function readFileKey(path: string): Promise<Uint8Array> {
  const line = (await readKeyFile(path)).trim()
  return Buffer.from(/^[0-9a-f]{64}$/.test(line) ? line : importKey(line).key, 'hex')
}

async function readKeyFile(path: string): Promise<string> {
  try {
    const file = await open(path)
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(MAX_KEY_TEXT))
      return buffer.toString('utf8', 0, bytesRead)
    } finally {
      await file.close()
    }
  } catch (cause) {
    throw new EmrError('input_unreadable', `The key file ${path} cannot be read.`, {}, { cause })
  }
}

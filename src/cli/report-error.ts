import { CommanderError } from 'commander'
import { type ErrorCode, isEmrError } from '../errors.js'
import { exitCodeOf } from './exit-codes.js'
import { printable } from './text.js'

/** What to do next, where that is known and the sentence of the error does not say it. */
const nextSteps: Partial<Record<ErrorCode, string>> = {
  node_unreachable: 'A node elsewhere is named by --node URL or EMRCHAIN_NODE.',
  peer_bad_address: 'Write it with its scheme, as in https://node.example:5002 or http://127.0.0.1:5002.',
  node_unexpected: 'Check --node or EMRCHAIN_NODE; a node of emrchain listens on port 5002 unless told otherwise.',
  node_untrusted: 'A private authority is named by --ca FILE; the name in --node must be one of the certificate.',
  token_required:
    'Copy the file "token" of its data folder, and name the copy with --token-file FILE or EMRCHAIN_TOKEN_FILE.',
  node_broke_off: 'The log of the node says why; the same command can be run again.',
  passphrase_wrong: 'Nothing was changed; run the command again with the right passphrase.',
  wallet_exists: 'Name another file with --wallet, or see what is in this one with "emrchain wallet show".',
  key_missing: 'Who has the key makes it a text with "emrchain key export"; "emrchain key import" takes it.',
  output_exists: 'Name another file with -o; get and decrypt replace it with --force.',
  file_unknown: '"emrchain list" shows the records of the wallet, "emrchain chain" those of the chain.',
  file_unavailable: 'Connect the node to one that has the file: "emrchain connect URL".',
  file_last_copy: 'With --force it is gone for good; "emrchain pin CID --node URL" first makes a copy elsewhere.',
  cipher_wrong_key: 'Nothing was written.',
  cipher_damaged: 'Nothing was written.',
  cipher_truncated: 'Nothing was written.',
  mempool_full: 'The key of the file is in the wallet; "emrchain mine" makes room.',
  chain_damaged: '"emrchain repair --data DIR" keeps what is whole; peers, or a backup, have the rest.',
  data_folder_in_use: 'Stop the node of this folder first.',
}

/** Tells of an error on stderr, for people in one sentence with its code, for programs as one JSON document. */
export function reportError(error: unknown, { json }: { json: boolean }): void {
  const { code, message, facts } = describe(error)
  const next = code in nextSteps ? nextSteps[code as ErrorCode] : undefined
  if (json) {
    const document = { error: { code, message, ...(next ? { next } : {}), facts, exitCode: exitCodeOf(error) } }
    process.stderr.write(`${JSON.stringify(document)}\n`)
    return
  }
  const lines = message.split('\n').map(printable).join('\n')
  process.stderr.write(`emrchain: ${lines} [${code}]\n${next ? `${next}\n` : ''}`)
  if (process.env.EMRCHAIN_DEBUG) process.stderr.write(`${error instanceof Error ? error.stack : ''}\n`)
}

function describe(error: unknown): { code: string; message: string; facts: object } {
  if (isEmrError(error)) return { code: error.code, message: error.message, facts: error.facts }
  if (error instanceof CommanderError) {
    const message = error.message.replace(/^error: /, '').replaceAll('\n', ' ')
    return { code: 'usage', message: `${message.charAt(0).toUpperCase()}${message.slice(1)}`, facts: {} }
  }
  const reason = error instanceof Error ? error.message : String(error)
  return { code: 'internal', message: `This should not have happened: ${reason}`, facts: {} }
}

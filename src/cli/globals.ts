import { homedir } from 'node:os'
import { join } from 'node:path'
import { type Command, Option } from 'commander'

/** What every command can be told. */
export interface Globals {
  /** URL of the node that is asked. */
  readonly node: string
  /** Path of the wallet. */
  readonly wallet: string
  /** One JSON document on stdout, errors as JSON on stderr. */
  readonly json: boolean
}

export function addGlobalOptions(program: Command): void {
  program
    .addOption(new Option('--node <url>', 'node to ask').default('http://127.0.0.1:5002').env('EMRCHAIN_NODE'))
    .addOption(
      new Option('--wallet <file>', 'wallet of this person')
        .default(join(homedir(), '.emrchain', 'wallet.age'), '~/.emrchain/wallet.age')
        .env('EMRCHAIN_WALLET'),
    )
    .option('--json', 'print one JSON document instead of text')
}

export function globalsOf(command: Command): Globals {
  const { json = false, ...given } = command.optsWithGlobals<Omit<Globals, 'json'> & { json?: boolean }>()
  return { ...given, json }
}

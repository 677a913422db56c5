import { homedir } from 'node:os'
import { join } from 'node:path'
import { type Command, Option } from 'commander'

/** What every command can be told. */
export interface Globals {
  /** URL of the node that is asked. */
  readonly node: string
  /** Path of the file with the token of the node; without it none is sent. */
  readonly tokenFile?: string
  /** Path of the certificates that vouch for the node, in the place of the system's. */
  readonly ca?: string
  /** Path of the wallet. */
  readonly wallet: string
  /** One JSON document on stdout, errors as JSON on stderr. */
  readonly json: boolean
}

export function addGlobalOptions(program: Command): void {
  program
    .addOption(new Option('--node <url>', 'node to ask').default('http://127.0.0.1:5002').env('EMRCHAIN_NODE'))
    .addOption(
      new Option('--token-file <file>', 'token of the node, for calls from elsewhere').env('EMRCHAIN_TOKEN_FILE'),
    )
    .addOption(new Option('--ca <file>', 'certificates that vouch for an https node, PEM').env('EMRCHAIN_CA'))
    .addOption(
      new Option('--wallet <file>', 'wallet of this person')
        .default(join(homedir(), '.emrchain', 'wallet.age'), '~/.emrchain/wallet.age')
        .env('EMRCHAIN_WALLET'),
    )
    .option('--json', 'print one JSON document instead of text')
}

export function globalsOf(command: Command): Globals {
  const { json = false, node, ...given } = command.optsWithGlobals<Omit<Globals, 'json'> & { json?: boolean }>()
  return { ...given, node: withScheme(node), json }
}

/** A node of this machine may be named by host and port alone. Beyond it http or https makes a difference. */
const withScheme = (node: string): string =>
  /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?\/?$/.test(node) ? `http://${node}` : node

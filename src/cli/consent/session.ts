import type { PersonSession, SentTransaction } from '../../client/person/person-session.js'
import { nodeAead } from '../../crypto/aead-node.js'
import type { Signer } from '../../crypto/ed25519.js'
import { parseChainId } from '../../protocol/cid.js'
import { exitCodes } from '../exit-codes.js'
import type { Globals } from '../globals.js'
import { interruption } from '../interruption.js'
import { openClient } from '../open-client.js'
import { print } from '../output.js'
import { openWalletFileToChange } from '../wallet-file.js'
import { readerOf } from '../wallet-reader.js'
import { type Contacts, readContacts } from './contacts-file.js'

/** A person at work at the command line, with the names that this person gave to others. */
export interface ConsentSession extends PersonSession {
  readonly contacts: Contacts
  readonly signal: AbortSignal
}

/** What is asked of a node without any secret. */
export const openAsking = (globals: Globals) => ({
  client: openClient(globals),
  signal: interruption(),
  now: Date.now,
})

/**
 * @param readerBeside who reads, by the key that the wallet has, where it is not always that: the node that is registered
 * @throws EmrError of the wallet and of the node
 */
export async function openConsentSession(
  globals: Globals,
  readerBeside: (wallet: Signer | undefined) => Signer | undefined = (wallet) => wallet,
): Promise<ConsentSession> {
  const signal = interruption()
  const signer = async (): Promise<Signer | undefined> => readerBeside(readerOf(keeper.wallet, genesis))
  const client = openClient(globals, signer)
  // The node is asked first: without it nothing is worth a passphrase.
  const { genesis } = await client.status({ signal })
  const contacts = await readContacts(globals.wallet)
  const keeper = await openWalletFileToChange(globals.wallet, signal, { isCertain: false })
  // The token is for the operator's own node alone.
  const clientOf = (node: string) => openClient({ node, ...(globals.ca ? { ca: globals.ca } : {}) }, signer)
  return { client, clientOf, keeper, chain: parseChainId(genesis), contacts, aead: nodeAead, signal, now: Date.now }
}

/** What a command says of a transaction: what it is, and what the contract makes of it. */
function sentText(what: string, { id, state, result }: SentTransaction): string {
  const place = state === 'confirmed' ? 'It is on the chain' : 'It waits for a block'
  const effect = state === 'confirmed' ? 'and has effect' : 'and will have effect, as things stand'
  const said = result.code === 0 ? effect : `and has no effect: ${result.name}. ${result.sentence}`
  const later = state === 'pending' && result.code !== 0 ? ' (as things stand before the next block)' : ''
  return `${what} is transaction ${id}.\n${place}, ${said}${later}${result.code === 0 ? '.' : ''}`
}

/**
 * Prints what was sent; the exit code says whether it has effect.
 *
 * @param further what a person should know then, where it has
 */
export async function printSent(globals: Globals, what: string, sent: SentTransaction, further = ''): Promise<void> {
  const more = sent.result.code === 0 && further !== '' ? `\n${further}` : ''
  await print(globals, { document: sent, text: `${sentText(what, sent)}${more}` })
  if (sent.result.code !== 0) process.exitCode = exitCodes.refused.code
}

/** Tells the person at the terminal that more was sent than was asked for. */
export function noteMoved(moved: readonly SentTransaction[]): void {
  if (moved.length === 0) return
  process.stderr.write(
    'Note: somebody had keys of your classes by a grant that is over. They moved on first, and grants that stay were given anew.\n',
  )
}

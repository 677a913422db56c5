import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js'
import type { CID } from 'multiformats/cid'
import { type ConsentKeys, renewedKeys, signerOf } from '../../client/consent/consent-keys.js'
import type { Stamp } from '../../client/consent/draft.js'
import { certificateInForce } from '../../client/consent/person.js'
import { findConsentKeys, putConsentKeys } from '../../client/consent/wallet-keys.js'
import type { NodeClient } from '../../client/node-client.js'
import type { Wallet } from '../../client/wallet.js'
import type { Signer } from '../../crypto/ed25519.js'
import { EmrError } from '../../errors.js'
import { parseChainId } from '../../protocol/cid.js'
import type { SignedTransaction } from '../../protocol/transaction.js'
import { exitCodes } from '../exit-codes.js'
import type { Globals } from '../globals.js'
import { interruption } from '../interruption.js'
import { openClient } from '../open-client.js'
import { print } from '../output.js'
import { openWalletFileToChange, type WalletFile } from '../wallet-file.js'
import { type Contacts, readContacts } from './contacts-file.js'

/** A person at work under the consent contract: a node, a wallet, the network's genesis. */
export interface ConsentSession {
  readonly client: NodeClient
  readonly walletFile: WalletFile
  readonly wallet: Wallet
  readonly chain: CID
  readonly contacts: Contacts
  readonly signal: AbortSignal
  /** When something is signed now. */
  stamp(): Stamp
  /** Hands in a transaction; with `mine` a block is mined at once. @returns what the contract says to it */
  send(transaction: SignedTransaction, options: { mine?: boolean | undefined }): Promise<SentTransaction>
}

export interface SentTransaction {
  readonly id: string
  readonly state: 'pending' | 'confirmed'
  readonly result: { readonly code: number; readonly name: string; readonly sentence: string }
}

/** The keys of this person on the network, registered. */
export interface Acting {
  readonly keys: ConsentKeys
  /** Id as text. */
  readonly id: string
  readonly signer: Signer
  /** The newest certificate in force, as bytes; null without one. */
  readonly certificate: Uint8Array | null
}

/** @throws EmrError of the wallet and of the node */
export async function openConsentSession(globals: Globals): Promise<ConsentSession> {
  const signal = interruption()
  const client = openClient(globals)
  // The node is asked first: without it nothing is worth a passphrase.
  const { genesis } = await client.status({ signal })
  const chain = parseChainId(genesis)
  const contacts = await readContacts(globals.wallet)
  const walletFile = await openWalletFileToChange(globals.wallet, signal, { isCertain: false })
  return {
    client,
    walletFile,
    wallet: walletFile.wallet,
    chain,
    contacts,
    signal,
    stamp: () => ({ chain, at: Date.now() }),
    async send({ bytes }, { mine = false }) {
      const id = await client.submitTransaction(bytes, { signal })
      if (mine) await client.mine({ signal })
      const { state, result } = await client.transaction(id, { signal })
      return { id, state, result }
    },
  }
}

/** The keys that a rotation under way leads to. */
export function renewedOf({ nextRoot, ...keys }: ConsentKeys): ConsentKeys {
  return nextRoot === undefined ? keys : renewedKeys(keys, hexToBytes(nextRoot))
}

/**
 * Who this wallet is on the network. Where the chain has the keys of a rotation by now, they take their place.
 *
 * @throws EmrError `identity_missing`; `secret_missing` where the chain has keys that the wallet does not know
 */
export async function actingOf({ wallet, walletFile, chain, client, signal }: ConsentSession): Promise<Acting> {
  let keys = findConsentKeys(wallet, chain)
  if (!keys?.id) throw new EmrError('identity_missing')
  const { id } = keys
  const { key } = await client.identity(id, { signal })
  const isKey = (of: ConsentKeys): boolean => bytesToHex(signerOf(of).publicKey) === key
  if (!isKey(keys)) {
    const renewed = renewedOf(keys)
    if (!isKey(renewed)) throw new EmrError('secret_missing', 'The chain has another key of this identity.')
    await walletFile.change((now) => putConsentKeys(now, renewed))
    keys = renewed
  }
  const certificate = await certificateInForce(client, id, Date.now(), signal)
  return { keys, id, signer: signerOf(keys), certificate: certificate && parseChainId(certificate.id).bytes }
}

/** What a command says of a transaction: what it is, and what the contract makes of it. */
function sentText(what: string, { id, state, result }: SentTransaction): string {
  const place = state === 'confirmed' ? 'It is on the chain' : 'It waits for a block'
  const said = result.code === 0 ? 'and has effect' : `and has no effect: ${result.name}. ${result.sentence}`
  const later = state === 'pending' && result.code !== 0 ? ' (as things stand before the next block)' : ''
  return `${what} is transaction ${id}.\n${place}, ${said}${later}${result.code === 0 ? '.' : ''}`
}

/** Prints what was sent; the exit code says whether it has effect. */
export async function printSent(globals: Globals, what: string, sent: SentTransaction): Promise<void> {
  await print(globals, { document: sent, text: sentText(what, sent) })
  if (sent.result.code !== 0) process.exitCode = exitCodes.refused.code
}

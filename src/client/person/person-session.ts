import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js'
import type { CID } from 'multiformats/cid'
import type { Signer } from '../../crypto/ed25519.js'
import type { Aead } from '../../crypto/file-cipher.js'
import { EmrError } from '../../errors.js'
import { parseChainId } from '../../protocol/cid.js'
import type { SignedTransaction } from '../../protocol/transaction.js'
import { type ConsentKeys, renewedKeys, signerOf } from '../consent/consent-keys.js'
import type { Stamp } from '../consent/draft.js'
import { certificateInForce } from '../consent/person.js'
import { consentKeysOf, findConsentKeys, putConsentKeys } from '../consent/wallet-keys.js'
import type { IdentityAnswer } from '../node-answers.js'
import type { NodeClient } from '../node-client.js'
import type { Wallet } from '../wallet.js'

/** Where a person's secrets are kept. */
export interface WalletKeeper {
  /** As it is now. */
  readonly wallet: Wallet
  /** Changes it for good: when this resolves, the change survives the end of the process. */
  change(change: (wallet: Wallet) => Wallet): Promise<void>
}

/** A person at work under the consent contract: a node, a wallet, the network's genesis. */
export interface PersonSession {
  readonly client: NodeClient
  /** Another node of the network, by its URL: custodians are asked themselves. */
  clientOf(url: string): NodeClient
  readonly keeper: WalletKeeper
  readonly chain: CID
  readonly aead: Aead
  readonly signal?: AbortSignal | undefined
  /** Clock, in ms since 1970. */
  now(): number
}

/** What a question to the chain needs, without any secret. */
export type Asking = Pick<PersonSession, 'client' | 'signal' | 'now'>

/** A transaction that was handed in, and what the contract says to it: where it waits, as things stand. */
export interface SentTransaction {
  readonly id: string
  readonly state: 'pending' | 'confirmed'
  readonly result: { readonly code: number; readonly name: string; readonly sentence: string }
}

/** How something is sent. */
export interface SendOptions {
  /** Have the node mine a block at once. */
  readonly mine?: boolean | undefined
  /** Of a deed that takes many transactions: how many of them are in. */
  readonly onSent?: ((done: number, total: number) => void) | undefined
}

/** The keys of this person on the network, registered. */
export interface Acting {
  readonly keys: ConsentKeys
  /** Id as text. */
  readonly id: string
  /** As the chain has it. */
  readonly identity: IdentityAnswer
  readonly signer: Signer
  /** The newest certificate in force, as bytes; null without one. */
  readonly certificate: Uint8Array | null
}

/** When something is signed now. */
export const stampOf = ({ chain, now }: Pick<PersonSession, 'chain' | 'now'>): Stamp => ({ chain, at: now() })

/** Hands in a transaction; with `mine` a block is mined at once. @throws EmrError what the node refuses with */
export async function send(
  { client, signal }: Pick<PersonSession, 'client' | 'signal'>,
  { bytes }: Pick<SignedTransaction, 'bytes'>,
  { mine = false }: SendOptions = {},
): Promise<SentTransaction> {
  const id = await client.submitTransaction(bytes, { signal })
  if (mine) await client.mine({ signal })
  const { state, result } = await client.transaction(id, { signal })
  return { id, state, result }
}

/** The keys that a rotation under way leads to. */
export function renewedOf({ nextRoot, ...keys }: ConsentKeys): ConsentKeys {
  return nextRoot === undefined ? keys : renewedKeys(keys, hexToBytes(nextRoot))
}

/** Who this wallet is on the network, as text. @throws EmrError `identity_missing` */
export function ownIdOf({ keeper, chain }: Pick<PersonSession, 'keeper' | 'chain'>): string {
  const id = findConsentKeys(keeper.wallet, chain)?.id
  if (!id) throw new EmrError('identity_missing')
  return id
}

/**
 * Puts keys into the wallet for good, in the place of those that a deed began with.
 *
 * @throws EmrError `consent_unfit` where another program changed them meanwhile, to others than these
 */
export async function replaceKeys(keeper: WalletKeeper, from: ConsentKeys, to: ConsentKeys): Promise<void> {
  const isSame = (a: ConsentKeys | undefined, b: ConsentKeys): boolean => JSON.stringify(a) === JSON.stringify(b)
  await keeper.change((wallet) => {
    const found = wallet.consent?.find(({ network }) => network === from.network)
    if (isSame(found, to)) return wallet
    if (!isSame(found, from)) {
      throw new EmrError('consent_unfit', 'Another command changed the keys of this wallet meanwhile; try again.')
    }
    return putConsentKeys(wallet, to)
  })
}

/**
 * Who this wallet is on the network. Where the chain has the keys of a rotation by now, they take their place.
 *
 * @throws EmrError `identity_missing`; `consent_unfit` while new keys wait for a block, which would undo what is signed with
 * the old ones; `secret_missing` where the chain has keys that the wallet does not know
 */
export async function actingOf(session: Omit<PersonSession, 'clientOf' | 'aead'>): Promise<Acting> {
  const { keeper, chain, client, now, signal } = session
  const id = ownIdOf(session)
  let keys = consentKeysOf(keeper.wallet, chain)
  const identity = await client.identity(id, { signal })
  const isKey = (of: ConsentKeys): boolean => bytesToHex(signerOf(of).publicKey) === identity.key
  if (isKey(keys)) {
    if (keys.nextRoot !== undefined) await assertNoVersionWaits(session, identity)
  } else {
    const renewed = renewedOf(keys)
    if (!isKey(renewed)) {
      await assertNoVersionWaits(session, identity)
      throw new EmrError('secret_missing', 'The chain has another key of this identity.')
    }
    await replaceKeys(keeper, keys, renewed)
    keys = renewed
  }
  const certificate = await certificateInForce(client, id, now(), signal)
  return { keys, id, identity, signer: signerOf(keys), certificate: certificate && parseChainId(certificate.id).bytes }
}

/** Whether a new version of this identity, by one of its keys, waits for a block. */
export async function hasVersionWaiting(
  { client, signal }: Pick<PersonSession, 'client' | 'signal'>,
  { version, key, recovery }: Pick<IdentityAnswer, 'version' | 'key' | 'recovery'>,
): Promise<boolean> {
  const waiting = await client.pendingAbout(version, { signal })
  return waiting.some(({ kind, author }) => kind === 'identity' && (author === key || author === recovery))
}

/** Checks that no new version of this identity waits for a block. @throws EmrError `consent_unfit` */
export async function assertNoVersionWaits(
  session: Pick<PersonSession, 'client' | 'signal'>,
  identity: Pick<IdentityAnswer, 'version' | 'key' | 'recovery'>,
): Promise<void> {
  if (await hasVersionWaiting(session, identity)) {
    throw new EmrError('consent_unfit', 'New keys of yours wait for a block; try again when it is there.')
  }
}

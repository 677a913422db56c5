// People at work. Their secrets are in the memory of the example alone; no node ever has them.

import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js'
import { signerOf } from '#emrchain/client/consent/consent-keys.js'
import { findConsentKeys } from '#emrchain/client/consent/wallet-keys.js'
import { createNodeClient } from '#emrchain/client/node-client.js'
import { registerIdentity } from '#emrchain/client/person/register-identity.js'
import { walletInMemory } from '#emrchain/client/person/wallet-in-memory.js'
import { nodeAead } from '#emrchain/crypto/aead-node.js'
import { createSigner } from '#emrchain/crypto/ed25519.js'
import { readNodeSeed } from '#emrchain/node/node-key.js'
import { parseChainId } from '#emrchain/protocol/cid.js'
import { roles } from '#emrchain/protocol/consent-vocabulary.js'
import { check } from './story.js'

/** @import { PersonSession } from '#emrchain/client/person/person-session.js' */
/** @import { OpenRecord } from '#emrchain/client/person/read-consent-record.js' */
/** @import { FileToRecord } from '#emrchain/client/person/add-consent-record.js' */
/** @import { Wallet } from '#emrchain/client/wallet.js' */
/** @import { Role } from '#emrchain/protocol/consent-vocabulary.js' */
/** @import { RunningNode } from './nodes.js' */
/** @import { Stage } from './story.js' */

/** Somebody at work: what the functions of `client/person` take. `id` is what others know them by. @typedef {PersonSession & { name: string, id: string }} Person */

/**
 * A session for somebody with a wallet, who is not registered yet. A program that people use would keep the wallet in a
 * file (`sealWallet`); this one forgets it at the end.
 *
 * @param {Stage} stage
 * @param {Pick<RunningNode, 'url'>} node the one that is asked
 * @param {Wallet} [wallet]
 * @returns {Promise<PersonSession>}
 */
export async function openSession({ signal }, { url }, wallet) {
  const keeper = walletInMemory(wallet)
  const chain = parseChainId((await createNodeClient(url).status({ signal })).genesis)
  // In a network with administrators nodes ask who reads. Those of this machine do not: here everybody is their operator.
  const signer = async () => {
    const keys = findConsentKeys(keeper.wallet, chain)
    return keys && signerOf(keys)
  }
  /** @param {string} of */
  const clientOf = (of) => createNodeClient(of, { signer })
  return { client: clientOf(url), clientOf, keeper, chain, aead: nodeAead, signal, now: Date.now }
}

/**
 * Somebody new on the network: has a wallet made and registers it, which is on the chain when a block is mined.
 *
 * @param {Stage} stage
 * @param {{ name: string, role: Role, node: Pick<RunningNode, 'url'>, custodians?: readonly string[], wallet?: Wallet, mine?: boolean }} who
 * @returns {Promise<Person>}
 */
export async function join(stage, { name, role, node, custodians = [], wallet, mine }) {
  const session = await openSession(stage, node, wallet)
  const { id } = await registerIdentity(session, { role, custodians }, { mine })
  return { ...session, name, id }
}

/**
 * Registers a node with the key that it signs blocks with, so that patients can name it as a custodian of their keys.
 *
 * @param {Stage} stage
 * @param {Pick<RunningNode, 'folder'>} node
 * @param {{ at: Pick<RunningNode, 'url'> }} options a node that the others listen to
 * @returns {Promise<string>} its id
 */
export async function joinNode(stage, { folder }, { at }) {
  const nodeSeed = await readNodeSeed(folder)
  return (await registerIdentity(await openSession(stage, at), { role: roles.node, nodeSeed })).id
}

/** The same person, asking another node. @param {Person} person @param {Pick<RunningNode, 'url'>} node @returns {Person} */
export const by = (person, { url }) => ({ ...person, client: person.clientOf(url) })

/** Public key of a wallet, by which a network names its first administrators. @param {Wallet} wallet */
export const publicKeyOf = ({ seed }) => bytesToHex(createSigner(hexToBytes(seed)).publicKey)

/**
 * A file of one line, to be recorded.
 *
 * @param {string} fileName
 * @param {string} text
 * @param {Omit<FileToRecord, 'bytes' | 'size' | 'fileName'>} rest
 * @returns {FileToRecord}
 */
export function note(fileName, text, rest) {
  const { length: size } = new TextEncoder().encode(text)
  return { ...rest, fileName, size, bytes: bytesOf(text) }
}

/** The bytes of a text, to be read once. @param {string} text */
export async function* bytesOf(text) {
  yield new TextEncoder().encode(text)
}

/** The text that some bytes are. @param {AsyncIterable<Uint8Array>} source */
export async function gathered(source) {
  const decoder = new TextDecoder()
  let text = ''
  for await (const piece of source) text += decoder.decode(piece, { stream: true })
  return text + decoder.decode()
}

/**
 * Somebody opens a record, and it is this text.
 *
 * @param {string} claim
 * @param {Promise<OpenRecord>} opening
 * @param {string} text
 */
export async function reads(claim, opening, text) {
  const found = await gathered((await opening).contents())
  check(claim, found === text, found)
}

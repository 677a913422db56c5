import { bytesToHex } from '@noble/hashes/utils.js'
import { type ConsentKeys, newConsentKeys, registeredKeys } from '../../client/consent/consent-keys.js'
import { registerIdentity as signIdentity } from '../../client/consent/identity.js'
import { findConsentKeys, putConsentKeys } from '../../client/consent/wallet-keys.js'
import { EmrError } from '../../errors.js'
import { type Role, roleNamed, roles } from '../../protocol/consent-vocabulary.js'
import type { Globals } from '../globals.js'
import { type ConsentSession, openConsentSession, type SentTransaction } from './session.js'

export interface RegisterOptions {
  readonly role: string
  readonly custodian?: readonly string[] | undefined
  readonly data?: string | undefined
  readonly mine?: boolean | undefined
}

export interface Registered extends SentTransaction {
  readonly role: string
  readonly key: string
}

/** Registers the wallet, or the node of a data folder. @throws EmrError `identity_exists`, `usage`, and those of the node */
export async function registerIdentity(options: RegisterOptions, globals: Globals): Promise<Registered> {
  const role = roleOf(options.role)
  if ((role === roles.node) !== (options.data !== undefined)) {
    throw new EmrError('usage', 'A node is registered with --data and the folder of its key; nobody else is.')
  }
  const session = await openConsentSession(globals)
  const custodians = (options.custodian ?? []).map((one) => session.contacts.bytesOf(one))
  const keys = options.data === undefined ? await walletKeys(session, role) : await nodeKeys(session, options.data)
  const identity = await signIdentity(session.stamp(), { keys, role, custodians })
  // The wallet has the secrets before anybody can seal something to them, and knows of whom they are.
  const registered = registeredKeys(keys, identity.id)
  if (options.data === undefined) await session.walletFile.change((wallet) => putConsentKeys(wallet, registered))
  const sent = await session.send(identity, options)
  return { ...sent, role: options.role, key: bytesToHex(identity.from) }
}

function roleOf(name: string): Role {
  const found = roleNamed(name.replaceAll('-', '_'))
  if (found === undefined) throw new EmrError('usage', `Roles are ${Object.keys(roles).join(', ')}.`)
  return found
}

/** Keys of the wallet for this network: those that it has, unless the chain knows them, or new ones. */
async function walletKeys({ wallet, chain, client, signal }: ConsentSession, role: Role): Promise<ConsentKeys> {
  const known = findConsentKeys(wallet, chain)
  if (known?.id) {
    const { state } = await client.transaction(known.id, { signal }).catch((error: unknown) => {
      if (error instanceof EmrError && error.code === 'transaction_unknown') return { state: 'unknown' }
      throw error
    })
    if (state !== 'unknown') throw new EmrError('identity_exists', known.id)
  }
  const keys = known ?? newConsentKeys({ chain, isPatient: role === roles.patient })
  // The parameters of a network name its first administrators, so their key cannot follow from its genesis.
  return role === roles.administrator ? { ...keys, seed: wallet.seed } : keys
}

/** The node acts with the key that signs its blocks; what is sealed to it follows from the same. */
async function nodeKeys({ chain }: ConsentSession, data: string): Promise<ConsentKeys> {
  const { readNodeSeed } = await import('../../node/node-key.js')
  const seed = await readNodeSeed(data)
  return { ...newConsentKeys({ chain, isPatient: false, root: seed }), seed: bytesToHex(seed) }
}

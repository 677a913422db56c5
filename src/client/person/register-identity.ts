import { bytesToHex } from '@noble/hashes/utils.js'
import type { CID } from 'multiformats/cid'
import { generateSeed } from '../../crypto/ed25519.js'
import { EmrError, isEmrError } from '../../errors.js'
import { parseChainId } from '../../protocol/cid.js'
import { type Role, roles } from '../../protocol/consent-vocabulary.js'
import { type ConsentKeys, newConsentKeys, registeredKeys } from '../consent/consent-keys.js'
import { registerIdentity as signIdentity } from '../consent/identity.js'
import type { Recovery } from '../consent/recovery-file.js'
import { findConsentKeys, putConsentKeys } from '../consent/wallet-keys.js'
import { type PersonSession, type SendOptions, type SentTransaction, send, stampOf } from './person-session.js'

export interface NewIdentity {
  readonly role: Role
  /** Ids of the nodes that keep shares, as text; of a patient. */
  readonly custodians?: readonly string[]
  /** Seed of a node, which is registered in the place of the wallet. */
  readonly nodeSeed?: Uint8Array | undefined
  /** Has a recovery key made, and keeps it for good, away from the wallet, before anything is sent. Not of a node. */
  readonly keepRecovery?: KeepRecovery | undefined
}

export type KeepRecovery = (recovery: Recovery) => Promise<void>

export interface Registered extends SentTransaction {
  readonly key: string
}

/** Registers the wallet, or a node. @throws EmrError `identity_exists`, `malformed_cid`, and those of the node */
export async function registerIdentity(
  session: PersonSession,
  { role, custodians = [], nodeSeed, keepRecovery }: NewIdentity,
  options: SendOptions = {},
): Promise<Registered> {
  const keys = nodeSeed ? nodeKeys(session.chain, nodeSeed) : await walletKeys(session, role)
  const nodes = custodians.map((id) => parseChainId(id).bytes)
  const recovery = keepRecovery && bytesToHex(generateSeed())
  const both = recovery === undefined ? keys : { ...keys, recovery }
  const identity = await signIdentity(stampOf(session), { keys: both, role, custodians: nodes })
  if (recovery !== undefined) await keepRecovery?.({ ...keys, id: identity.id.toString(), recovery })
  // The wallet has the secrets before anybody can seal something to them, and knows of whom they are.
  if (!nodeSeed) await session.keeper.change((wallet) => putConsentKeys(wallet, registeredKeys(keys, identity.id)))
  return { ...(await send(session, identity, options)), key: bytesToHex(identity.from) }
}

/** Keys of the wallet for this network: those that it has, unless the chain knows them, or new ones. */
async function walletKeys({ keeper, chain, client, signal }: PersonSession, role: Role): Promise<ConsentKeys> {
  const known = findConsentKeys(keeper.wallet, chain)
  if (known?.id) {
    const found = await client.transaction(known.id, { signal }).catch((error: unknown) => {
      if (isEmrError(error, 'transaction_unknown')) return undefined
      throw error
    })
    // What the contract refused, or would refuse, is no identity: the same keys may try again.
    if (found?.result.code === 0) throw new EmrError('identity_exists', known.id)
  }
  const keys = known ?? newConsentKeys({ chain, isPatient: role === roles.patient })
  // The parameters of a network name its first administrators, so their key cannot follow from its genesis.
  return role === roles.administrator ? { ...keys, seed: keeper.wallet.seed } : keys
}

/** The node acts with the key that signs its blocks; what is sealed to it follows from the same. */
const nodeKeys = (chain: CID, seed: Uint8Array): ConsentKeys => ({
  ...newConsentKeys({ chain, isPatient: false, root: seed }),
  seed: bytesToHex(seed),
})

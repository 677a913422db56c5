import { adviceOnCustodians } from '../../client/person/choose-custodians.js'
import type { Asking } from '../../client/person/person-session.js'
import { type Registered, registerIdentity } from '../../client/person/register-identity.js'
import { createSigner } from '../../crypto/ed25519.js'
import { EmrError, isEmrError } from '../../errors.js'
import { roleNamed, roles } from '../../protocol/consent-vocabulary.js'
import type { Globals } from '../globals.js'
import { recoveryKeeper } from './recovery-by-flags.js'
import { openConsentSession } from './session.js'

export interface RegisterFlags {
  readonly role: string
  readonly custodian?: string[]
  readonly data?: string
  readonly recovery?: string
  readonly mine?: true
}

/** Registers the wallet, or the node of a data folder. @throws EmrError `identity_exists`, `usage`, and those of the node */
export async function registerByFlags(
  { role: name, custodian = [], data, recovery, mine }: RegisterFlags,
  globals: Globals,
): Promise<Registered & { readonly role: string }> {
  const role = roleNamed(name.replaceAll('-', '_'))
  if (role === undefined) throw new EmrError('usage', `Roles are ${Object.keys(roles).join(', ')}.`)
  if ((role === roles.node) !== (data !== undefined)) {
    throw new EmrError('usage', 'A node is registered with --data and the folder of its key; nobody else is.')
  }
  if (data !== undefined && recovery !== undefined) {
    throw new EmrError('usage', 'A node has no recovery key: its data folder and a backup have node.key.')
  }
  const nodeSeed = data === undefined ? undefined : await seedIn(data)
  const keepRecovery = recovery === undefined ? undefined : await recoveryKeeper(recovery)
  const session = await openConsentSession(globals, nodeSeed && (() => createSigner(nodeSeed)))
  const custodians = custodian.map((one) => session.contacts.idOf(one))
  const registered = await registerIdentity(session, { role, custodians, nodeSeed, keepRecovery }, { mine })
  if (role === roles.patient) await adviseOnCustodians(session, custodians)
  return { ...registered, role: name }
}

/** Tells the person at the terminal what to know of their custodians. */
export async function adviseOnCustodians(asking: Asking, custodians: readonly string[]): Promise<void> {
  const advice = await adviceOnCustodians(asking, custodians).catch((error: unknown) => {
    // Who is not certified yet may not see who certified the nodes.
    if (isEmrError(error, 'reader_not_certified')) return []
    throw error
  })
  for (const sentence of advice) process.stderr.write(`Note: ${sentence}\n`)
}

async function seedIn(data: string): Promise<Uint8Array> {
  const { readNodeSeed } = await import('../../node/node-key.js')
  return readNodeSeed(data)
}

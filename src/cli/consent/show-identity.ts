import { certificatesOf } from '../../client/consent/person.js'
import { findConsentKeys } from '../../client/consent/wallet-keys.js'
import type { IdentityAnswer } from '../../client/node-answers.js'
import { EmrError } from '../../errors.js'
import { parseChainId } from '../../protocol/cid.js'
import { NO_END, recordClasses, roleName } from '../../protocol/consent-vocabulary.js'
import type { Globals } from '../globals.js'
import { interruption } from '../interruption.js'
import { openClient } from '../open-client.js'
import { facts } from '../text.js'
import { openWalletFile } from '../wallet-file.js'
import { readContacts } from './contacts-file.js'

/** An identity as the chain has it, with its certificates. @throws EmrError `identity_missing`, `identity_unknown`, `contact_unknown` */
export async function showIdentity(who: string | undefined, globals: Globals) {
  const signal = interruption()
  const client = openClient(globals)
  const contacts = await readContacts(globals.wallet)
  const id = who === undefined ? await ownId(globals, signal) : contacts.idOf(who)
  const identity = await client.identity(id, { signal })
  const certificates = []
  for await (const certificate of certificatesOf(client, id, signal)) certificates.push(certificate)
  const now = Date.now()
  const lines = certificates.map(({ id: certificate, role, from, until, revoked }) => {
    const state = revoked ? 'revoked' : now < from ? 'not yet in force' : now >= until ? 'ended' : 'in force'
    const end = until === NO_END ? 'without end' : `until ${new Date(until).toISOString()}`
    return `  ${certificate}  ${roleName(role)}, ${end}, ${state}`
  })
  const text = [
    textOf(identity, contacts.nameOf),
    ...(lines.length > 0
      ? ['certificates:', ...lines]
      : identity.administrator
        ? []
        : ['certificates: none; the role is its own word']),
  ].join('\n')
  return { document: { ...identity, certificates }, text }
}

async function ownId({ node, tokenFile, ca, wallet: path }: Globals, signal: AbortSignal): Promise<string> {
  const client = openClient({ node, ...(tokenFile ? { tokenFile } : {}), ...(ca ? { ca } : {}) })
  const { genesis } = await client.status({ signal })
  const { wallet } = await openWalletFile(path, signal)
  const own = findConsentKeys(wallet, parseChainId(genesis))
  if (!own?.id) throw new EmrError('identity_missing')
  return own.id
}

function textOf(identity: IdentityAnswer, nameOf: (id: string) => string): string {
  const { id, role, administrator, key, recovery, custodians, classKeys } = identity
  const name = nameOf(id)
  const classes = new Map<number, string>(Object.entries(recordClasses).map(([word, one]) => [one, word]))
  return facts([
    ['id', id],
    ...(name === id ? [] : [['contact', name] as [string, string]]),
    ['role', administrator ? `${role}, administers this network` : role],
    ['key', key],
    ['recovery key', recovery ?? 'none'],
    ...(custodians.length > 0 ? [['custodians', custodians.map(nameOf).join(', ')] as [string, string]] : []),
    ...(classKeys.length > 0
      ? [
          ['class keys', classKeys.map((one) => `${classes.get(one.class)} ${one.epoch}`).join(', ')] as [
            string,
            string,
          ],
        ]
      : []),
  ])
}

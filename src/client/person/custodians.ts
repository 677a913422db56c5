import { hexToBytes, randomBytes } from '@noble/hashes/utils.js'
import type { Signer } from '../../crypto/ed25519.js'
import { EmrError } from '../../errors.js'
import { chainCidAt, parseChainId } from '../../protocol/cid.js'
import { type KindOfRequest, signPersonRequest } from '../../protocol/person-request.js'
import { type ClearDeposit, type DepositKeeper, sealDeposit } from '../../protocol/sealed-deposit.js'
import type { Custodian, Receipt } from '../consent/receipts.js'
import type { NodeClient } from '../node-client.js'
import type { PersonSession } from './person-session.js'

/** A node that keeps shares for a patient, and where it answers. */
export interface ReachedCustodian extends Custodian, DepositKeeper {
  readonly client: NodeClient
}

/**
 * The custodians of a patient that the asked node knows an address of, itself included.
 *
 * @param ids as text
 * @throws EmrError `custodian_unknown` if it knows none
 */
export async function custodiansOf(
  { client, clientOf, signal }: Pick<PersonSession, 'client' | 'clientOf' | 'signal'>,
  ids: readonly string[],
): Promise<{ reached: ReachedCustodian[]; all: Custodian[] }> {
  if (ids.length === 0) {
    throw new EmrError('custodian_unknown', 'The patient has chosen none; "emrchain identity custodians" does.')
  }
  const { key: own } = await client.status({ signal })
  const urls = new Map((await client.peers({ signal })).map(({ key, address }) => [key ?? '', address]))
  const reached: ReachedCustodian[] = []
  const all: Custodian[] = []
  for (const id of ids) {
    const { key, seal } = await client.identity(id, { signal })
    const custodian = { id: parseChainId(id).bytes, key: hexToBytes(key), seal: hexToBytes(seal) }
    all.push(custodian)
    const url = urls.get(key)
    if (key === own) reached.push({ ...custodian, client })
    else if (url !== undefined) reached.push({ ...custodian, client: clientOf(url) })
  }
  if (reached.length === 0) throw new EmrError('custodian_unknown')
  return { reached, all }
}

/** A request to one custodian, signed. */
export const requestTo = (
  { chain, now }: Pick<PersonSession, 'chain' | 'now'>,
  signer: Signer,
  to: Uint8Array,
  request: KindOfRequest,
): Uint8Array => signPersonRequest({ chain, to, at: now(), nonce: randomBytes(16), ...request }, signer)

/** Gives the share and label of a record to each custodian, sealed to it. Those that do not take it are named by their errors. */
export async function depositAt(
  session: Pick<PersonSession, 'chain' | 'now' | 'signal'>,
  signer: Signer,
  custodians: readonly ReachedCustodian[],
  deposit: ClearDeposit,
): Promise<{ receipts: Receipt[]; failures: string[] }> {
  const outcomes = await Promise.allSettled(
    custodians.map(async (custodian) => {
      const body = await sealDeposit(session.chain, deposit, custodian)
      const request = requestTo(session, signer, custodian.id, { kind: 'deposit', body })
      return custodian.client.deposit(request, { signal: session.signal })
    }),
  )
  const receipts = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []))
  const failures = outcomes.flatMap((outcome, at) => {
    if (outcome.status === 'fulfilled') return []
    const id = custodians[at]?.id
    const why = outcome.reason instanceof EmrError ? outcome.reason.message : String(outcome.reason)
    return [`${id ? chainCidAt(id, 0) : 'a custodian'}: ${why}`]
  })
  return { receipts, failures }
}

import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js'
import { sealMemberShare } from '../../crypto/member-seal.js'
import { EmrError } from '../../errors.js'
import { chainCidAt, parseChainId } from '../../protocol/cid.js'
import { grantTransaction } from '../consent/grant.js'
import { openGrant, shareByGrant } from '../consent/open-grant.js'
import { consentRecord } from '../consent/record.js'
import { permissionOf } from './may-do.js'
import { actingOf, type PersonSession } from './person-session.js'

export interface NewShare {
  /** Id of the record, as text. */
  readonly record: string
  /** Id of the member, as text. */
  readonly member: string
  /** A word: what the member wants it for. */
  readonly purpose: string
}

/** What an organisation hands to a member; only the member opens it. Ids as text. */
export interface MemberShare {
  readonly record: string
  readonly grant: string
  readonly member: string
  /** 80 bytes, hexadecimal. */
  readonly share: string
}

/**
 * Seals the share of a record, which a grant gave to this organisation, to a member that it has certified, once the
 * contract says that the member may read the record under that grant. It is no consent: a custodian asks the contract again.
 *
 * @throws EmrError `consent_missing`, `identity_missing`, `secret_missing`, `seal_wrong`, and those of the node
 */
export async function shareRecord(
  session: PersonSession,
  { record: id, member, purpose }: NewShare,
): Promise<MemberShare> {
  const { client, chain, signal } = session
  const { keys, id: own } = await actingOf(session)
  const { grant } = await permissionOf(session, id, { accessor: member, action: 'READ', purpose })
  const given = grant && grantTransaction(await client.signedTransaction(grant.id, { signal }))
  const isOurs = given?.body.grantee && chainCidAt(given.body.grantee, 0).toString() === own
  if (!grant || !given || !isOurs) {
    throw new EmrError('consent_missing', 'None to this organisation lets this member read the record.')
  }
  const record = consentRecord(await client.signedTransaction(id, { signal }))
  const share = await shareByGrant(await openGrant(keys, given), record)
  const { seal } = await client.identity(member, { signal })
  const place = {
    genesis: chain.bytes,
    record: record.id.bytes,
    grant: given.id.bytes,
    member: parseChainId(member).bytes,
  }
  return {
    record: id,
    grant: grant.id,
    member,
    share: bytesToHex(await sealMemberShare(hexToBytes(seal), share, place)),
  }
}

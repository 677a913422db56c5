import { concatBytes } from '@noble/hashes/utils.js'
import { EmrError } from '../errors.js'
import { idBytes } from './bound-bytes.js'
import { SHARE_SIZE } from './content-key.js'
import { type Binding, SEAL_KEY_SIZE, SEAL_TAG_SIZE } from './hpke.js'
import { openSealedShare, sealShare } from './share-seal.js'

const INFO = new TextEncoder().encode('emrchain/member-share/v1')

/** Whom an organisation gives the share of which record, of a grant to it (docs/protocol.md, "Sealed secrets"). 36 bytes each. */
export interface MemberPlace {
  readonly genesis: Uint8Array
  readonly record: Uint8Array
  readonly grant: Uint8Array
  readonly member: Uint8Array
}

/** Seals `S_chain` of a record to a member: ephemeral key (32), ciphertext and tag (48). @throws EmrError `seal_bad_key` */
export async function sealMemberShare(
  member: Uint8Array,
  share: Uint8Array,
  place: MemberPlace,
  ephemeral?: Uint8Array,
): Promise<Uint8Array> {
  const { enc, ct } = await sealShare(member, share, bindingOf(place), ephemeral)
  return concatBytes(enc, ct)
}

/** Opens what `sealMemberShare` sealed. @throws EmrError `seal_wrong` */
export async function openMemberSeal(secret: Uint8Array, sealed: Uint8Array, place: MemberPlace): Promise<Uint8Array> {
  if (sealed.length !== SEAL_KEY_SIZE + SHARE_SIZE + SEAL_TAG_SIZE) throw new EmrError('seal_wrong')
  const parts = { enc: sealed.subarray(0, SEAL_KEY_SIZE), ct: sealed.subarray(SEAL_KEY_SIZE) }
  return openSealedShare(secret, parts, bindingOf(place))
}

const bindingOf = ({ genesis, record, grant, member }: MemberPlace): Binding => ({
  info: INFO,
  aad: concatBytes(idBytes(genesis), idBytes(record), idBytes(grant), idBytes(member)),
})

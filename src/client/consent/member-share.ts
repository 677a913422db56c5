import { type MemberPlace, openMemberSeal } from '../../crypto/member-seal.js'
import { type ConsentKeys, sealSecrets } from './consent-keys.js'
import { openWithAny } from './open-record.js'

/** Opens the share of a record that an organisation sealed to this member, now or before a rotation. @throws EmrError `seal_wrong` */
export const openMemberShare = (keys: ConsentKeys, sealed: Uint8Array, place: MemberPlace): Promise<Uint8Array> =>
  openWithAny(sealSecrets(keys), (secret) => openMemberSeal(secret, sealed, place))

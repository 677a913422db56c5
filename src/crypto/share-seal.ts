import { abytes } from '@noble/hashes/utils.js'
import { EmrError } from '../errors.js'
import { SHARE_SIZE } from './content-key.js'
import { type Binding, open, type Sealed, seal } from './hpke.js'

/** Seals one share of a key to an X25519 key. @throws EmrError `seal_bad_key` */
export const sealShare = (
  recipient: Uint8Array,
  share: Uint8Array,
  binding: Binding,
  ephemeral?: Uint8Array,
): Promise<Sealed> => seal(recipient, abytes(share, SHARE_SIZE, 'share'), binding, ephemeral)

/** Opens what `sealShare` sealed. @throws EmrError `seal_wrong`, also where it is no share */
export async function openSealedShare(secret: Uint8Array, sealed: Sealed, binding: Binding): Promise<Uint8Array> {
  const share = await open(secret, sealed, binding)
  if (share.length !== SHARE_SIZE) throw new EmrError('seal_wrong')
  return share
}

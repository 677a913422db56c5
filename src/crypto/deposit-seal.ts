import { abytes, concatBytes } from '@noble/hashes/utils.js'
import { idBytes } from './bound-bytes.js'
import type { Binding, Sealed } from './hpke.js'
import { openSealedShare, sealShare } from './share-seal.js'

const INFO = new TextEncoder().encode('emrchain/deposit-share/v1')

/** The one record and the one node that a share is on its way to (docs/protocol.md, "Sealed secrets"). */
export interface DepositPlace {
  /** Id of the network: 36 bytes. */
  readonly genesis: Uint8Array
  /** Id of the node that is to keep it. */
  readonly custodian: Uint8Array
  readonly patient: Uint8Array
  /** 32 random bytes of the author. */
  readonly nonce: Uint8Array
  /** SHA-256 of the share. */
  readonly commitment: Uint8Array
  /** The bytes of the CID of the encrypted file. */
  readonly file: Uint8Array
}

/** Seals the share that is not on the chain to the X25519 key of a custodian. @throws EmrError `seal_bad_key` */
export const sealDepositShare = (
  custodian: Uint8Array,
  share: Uint8Array,
  place: DepositPlace,
  ephemeral?: Uint8Array,
): Promise<Sealed> => sealShare(custodian, share, bindingOf(place), ephemeral)

/** Opens it with the secret of the custodian. That it is the share of the record is for `assertShare` to say. @throws EmrError `seal_wrong` */
export const openDepositShare = (secret: Uint8Array, sealed: Sealed, place: DepositPlace): Promise<Uint8Array> =>
  openSealedShare(secret, sealed, bindingOf(place))

/** Every part but the last has one length, so no two places have the same bytes. */
const bindingOf = ({ genesis, custodian, patient, nonce, commitment, file }: DepositPlace): Binding => ({
  info: INFO,
  aad: concatBytes(
    idBytes(genesis),
    idBytes(custodian),
    idBytes(patient),
    abytes(nonce, 32, 'nonce'),
    abytes(commitment, 32, 'commitment'),
    file,
  ),
})

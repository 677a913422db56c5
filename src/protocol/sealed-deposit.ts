import type { CID } from 'multiformats/cid'
import { sealDepositShare } from '../crypto/deposit-seal.js'
import type { DepositBody } from './person-request.js'

/** What a custodian is to keep of a record; `share` is secret. */
export interface ClearDeposit extends Pick<DepositBody, 'patient' | 'nonce' | 'commitment' | 'file'> {
  /** `S_off`, 32 bytes. */
  readonly share: Uint8Array
  /** The label as it is sealed; empty where there is none. */
  readonly label: Uint8Array
}

/** A node that is to keep something. */
export interface DepositKeeper {
  readonly id: Uint8Array
  /** X25519 key of its latest version. */
  readonly seal: Uint8Array
}

/** The deposit as it goes to one custodian, its share sealed for nobody else. @throws EmrError `seal_bad_key` */
export async function sealDeposit(
  chain: CID,
  { share, label, ...of }: ClearDeposit,
  { id, seal }: DepositKeeper,
  ephemeral?: Uint8Array,
): Promise<DepositBody> {
  const place = { genesis: chain.bytes, custodian: id, ...of }
  const { enc, ct } = await sealDepositShare(seal, share, place, ephemeral)
  return { ...of, enc, sealed: ct, label }
}

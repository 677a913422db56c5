import type { CID } from 'multiformats/cid'
import type { Role } from '../../protocol/consent-vocabulary.js'

/** An identity as the chain has it now. */
export interface CertifiedIdentity {
  readonly role: Role
  /** The current Ed25519 key, 32 bytes. */
  readonly key: Uint8Array
  /** Keys that it had before, each with the time, in ms, of the block that replaced it. */
  readonly formerKeys: readonly { readonly key: Uint8Array; readonly replacedAt: number }[]
}

/** A certificate as the chain has it now. Times in ms. */
export interface ChainCertificate {
  readonly id: CID
  /** The identity that it is of. */
  readonly subject: CID
  readonly role: Role
  /** Mask of `capabilities`. */
  readonly capabilities: number
  readonly from: number
  readonly until: number
  /** The identity that signed it. */
  readonly issuer: CID
  /** The certificate of the issuer that it was issued under. */
  readonly under: CID | null
  /** The reason (`revocationReasons`) and the time of the block, if it is revoked. */
  readonly revoked: { readonly reason: number; readonly at: number } | null
}

/** The certificates and identities on a chain: what is needed to write them as X.509. */
export interface CertificateSource {
  /** Id of the genesis header of the network. */
  readonly genesis: CID
  /** The identity of this id; undefined where there is none. */
  identity(id: CID): Promise<CertifiedIdentity | undefined>
  /** The certificate of this id; undefined where there is none. */
  certificate(id: CID): Promise<ChainCertificate | undefined>
  /** All certificates that this identity ever issued, in the order of the chain. */
  certificatesOf(issuer: CID): Promise<readonly ChainCertificate[]>
}

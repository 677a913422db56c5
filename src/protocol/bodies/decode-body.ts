import { type AccessBody, decodeAccess } from './access.js'
import { type CertificateBody, decodeCertificate } from './certificate.js'
import { type CertificateRevocationBody, decodeCertificateRevocation } from './certificate-revocation.js'
import { decodeErasure, type ErasureBody } from './erasure.js'
import { decodeErasureReceipt, type ErasureReceiptBody } from './erasure-receipt.js'
import { decodeGrant, type GrantBody } from './grant.js'
import { decodeIdentity, type IdentityBody } from './identity.js'
import { decodeRecord, type RecordBody } from './record.js'
import { decodeRequest, type RequestBody } from './request.js'
import { decodeRevocation, type RevocationBody } from './revocation.js'

/** The kinds of transactions and their bodies. */
export interface Bodies {
  readonly record: RecordBody
  readonly identity: IdentityBody
  readonly certificate: CertificateBody
  readonly certificate_revocation: CertificateRevocationBody
  readonly request: RequestBody
  readonly grant: GrantBody
  readonly revocation: RevocationBody
  readonly access: AccessBody
  readonly erasure: ErasureBody
  readonly erasure_receipt: ErasureReceiptBody
}
export type Kind = keyof Bodies
/** A kind and a body of that kind. */
export type KindAndBody = { [K in Kind]: { readonly kind: K; readonly body: Bodies[K] } }[Kind]

const decoders: { readonly [K in Kind]: (body: unknown) => { readonly kind: K; readonly body: Bodies[K] } } = {
  record: (body) => ({ kind: 'record', body: decodeRecord(body) }),
  identity: (body) => ({ kind: 'identity', body: decodeIdentity(body) }),
  certificate: (body) => ({ kind: 'certificate', body: decodeCertificate(body) }),
  certificate_revocation: (body) => ({ kind: 'certificate_revocation', body: decodeCertificateRevocation(body) }),
  request: (body) => ({ kind: 'request', body: decodeRequest(body) }),
  grant: (body) => ({ kind: 'grant', body: decodeGrant(body) }),
  revocation: (body) => ({ kind: 'revocation', body: decodeRevocation(body) }),
  access: (body) => ({ kind: 'access', body: decodeAccess(body) }),
  erasure: (body) => ({ kind: 'erasure', body: decodeErasure(body) }),
  erasure_receipt: (body) => ({ kind: 'erasure_receipt', body: decodeErasureReceipt(body) }),
}

/** All kinds. */
export const kinds = Object.keys(decoders) as readonly Kind[]

/** Whether `kind` names a kind of transaction. */
export const isKind = (kind: unknown): kind is Kind => typeof kind === 'string' && Object.hasOwn(decoders, kind)

/** Reads the body of a transaction of this kind strictly. @throws EmrError `transaction_malformed`, `malformed_cid` */
export const decodeBody = (kind: Kind, body: unknown): KindAndBody => decoders[kind](body)

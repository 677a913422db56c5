import { revocationReasons } from '../consent-vocabulary.js'
import { approvals } from './certificate.js'
import { type BodyOf, id, oneOf, readBody } from './fields.js'

const fields = { certificate: id, reason: oneOf<number>(revocationReasons), approvals }

/** Ends a certificate and all that was issued under it. docs/protocol.md, "certificate_revocation". */
export type CertificateRevocationBody = BodyOf<typeof fields>

/** @throws EmrError `transaction_malformed` */
export const decodeCertificateRevocation = (value: unknown): CertificateRevocationBody => readBody(fields, value)

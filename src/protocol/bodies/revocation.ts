import { type BodyOf, id, malformed, orNull, readBody } from './fields.js'

const fields = {
  patient: id,
  /** The grant or deny that ends. */
  grant: orNull(id),
  /** Instead: all grants so far to this grantee. Where both are null, all grants so far; denies stay. */
  grantee: orNull(id),
}

/** Ends consent. docs/protocol.md, "revocation". */
export type RevocationBody = BodyOf<typeof fields>

/** @throws EmrError `transaction_malformed` */
export function decodeRevocation(value: unknown): RevocationBody {
  const body = readBody(fields, value)
  if (body.grant && body.grantee) throw malformed('It names a grant or a grantee, and not both.')
  return body
}

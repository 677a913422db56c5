import { type BodyOf, id, orNull, readBody } from './fields.js'
import { checkScope, scopeFields } from './scope.js'

const fields = {
  patient: id,
  /** Who is to get the grant: the author, or the organisation that certified the author. */
  grantee: id,
  /** The certificate in whose role the author asks. */
  certificate: orNull(id),
  ...scopeFields,
}

/** Asks a patient for a grant; it gives nothing. docs/protocol.md, "request". */
export type RequestBody = BodyOf<typeof fields>

/** @throws EmrError `transaction_malformed` */
export function decodeRequest(value: unknown): RequestBody {
  const body = readBody(fields, value)
  checkScope(body)
  return body
}

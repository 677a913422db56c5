import { isBytes } from '../canonical.js'
import { EVERY_CLASS, EVERY_ROLE, EVERY_SENSITIVITY } from '../consent-vocabulary.js'
import { type BodyOf, bits, bytes, id, malformed, mapOf, oneBit, orNull, readBody, sorted, whole } from './fields.js'
import { checkScope, scopeFields } from './scope.js'

/** Most class keys that one grant seals. */
export const MAX_GRANTED_KEYS = 64

const classEpoch = mapOf({ class: oneBit(EVERY_CLASS), epoch: whole(1, 0xffffffff) })
const seal = mapOf({
  /** Ephemeral X25519 key of HPKE. */
  enc: bytes(32),
  /** The secrets one after the other, 32 bytes each, and a tag of 16. */
  ct: (value, name) => {
    if (!isBytes(value)) throw malformed(`${name} is not bytes.`)
    return value
  },
})

const fields = {
  patient: id,
  /** A person or an organisation; null in a deny that is for everybody. */
  grantee: orNull(id),
  /** Roles in which it can be used, or which are denied: bit n for role n. */
  roles: bits(EVERY_ROLE),
  /** 1 forbids what it describes, whatever else allows it. */
  deny: whole(0, 1),
  /** The grant by which a delegate acts for the patient. */
  under: orNull(id),
  /** The certificate of the delegate. */
  certificate: orNull(id),
  /** The request that it answers. */
  request: orNull(id),
  /** Which class keys are sealed, by class and epoch. */
  keys: sorted(classEpoch, MAX_GRANTED_KEYS, (a, b) => a.class - b.class || a.epoch - b.epoch),
  /** One HPKE seal over `S_chain` of each named record, or over each of `keys`, in their order. */
  seal: orNull(seal),
  ...scopeFields,
}

/** What a patient allows or forbids. docs/protocol.md, "grant". */
export type GrantBody = BodyOf<typeof fields>

/** @throws EmrError `transaction_malformed` */
export function decodeGrant(value: unknown): GrantBody {
  const body = readBody(fields, value)
  checkScope(body)
  if (body.keys.some((key) => (key.class & body.classes) === 0)) throw malformed('A key is of another class.')
  if (body.deny === 1) {
    const isWhole = body.confidentiality === 3 && body.sensitivity === EVERY_SENSITIVITY && body.uses === 0
    if (!isWhole || body.seal || body.keys.length > 0) throw malformed('A deny has no keys and no limits of its own.')
    return body
  }
  if (!body.grantee) throw malformed('A grant is to somebody.')
  const secrets = body.records.length + body.keys.length
  if (!body.seal && body.keys.length > 0) throw malformed('It names keys and seals none.')
  if (body.seal && (secrets === 0 || body.seal.ct.length !== secrets * 32 + 16)) {
    throw malformed('The seal is not of its keys.')
  }
  return body
}

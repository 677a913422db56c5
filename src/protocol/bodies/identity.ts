import { EVERY_CLASS, type Role, roles } from '../consent-vocabulary.js'
import {
  type BodyOf,
  bytes,
  id,
  ids,
  malformed,
  mapOf,
  oneBit,
  oneOf,
  orNull,
  readBody,
  sorted,
  whole,
} from './fields.js'

/** Most custodians that a patient can name. */
export const MAX_CUSTODIANS = 8

const classKey = mapOf({ class: oneBit(EVERY_CLASS), epoch: whole(1, 0xffffffff), key: bytes(32) })

const fields = {
  /** What this is, as it says itself; in a network with administrators a certificate says it. */
  role: oneOf<Role>(roles),
  /** Ed25519 key that acts for it from now on. */
  key: bytes(32),
  /** X25519 key that secrets are sealed to. */
  seal: bytes(32),
  /** Ed25519 key, kept offline, that may write the next version too. */
  recovery: orNull(bytes(32)),
  /** Signature by `key` that its owner agrees; null where the signer has shown it. */
  keyProof: orNull(bytes(64)),
  recoveryProof: orNull(bytes(64)),
  /** Id of the version before; null in the first. */
  previous: orNull(id),
  /** Of a patient: the current X25519 key of each class of records, by class. */
  classKeys: sorted(classKey, 11, (a, b) => a.class - b.class),
  /** Of a patient: the nodes that keep the shares. */
  custodians: ids(MAX_CUSTODIANS),
}

/** A version of a person, organisation or node. docs/protocol.md, "identity". */
export type IdentityBody = BodyOf<typeof fields>

/** @throws EmrError `transaction_malformed` */
export function decodeIdentity(value: unknown): IdentityBody {
  const body = readBody(fields, value)
  if (body.role !== roles.patient && (body.classKeys.length > 0 || body.custodians.length > 0)) {
    throw malformed('Only a patient has class keys and custodians.')
  }
  if (body.recoveryProof && !body.recovery) throw malformed('A proof of what is not there.')
  return body
}

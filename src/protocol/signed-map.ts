import type { Signer } from '../crypto/ed25519.js'
import { EmrError } from '../errors.js'
import { type BodyOf, bytes as byteString, type Field, readBody } from './bodies/fields.js'
import { decodeCanonical, encodeCanonical } from './canonical.js'
import type { SignatureClaim } from './signatures-of-others.js'

/**
 * Signed messages that are no transactions: a DAG-CBOR map with a `sig` by one of its own keys over a text of its own
 * (`domain`) and the map without `sig`.
 */
export interface SignedMap<F> {
  readonly fields: F
  /** What it claims of its signature; nobody has checked it yet. */
  readonly claim: SignatureClaim
  readonly bytes: Uint8Array
}

function signedBytes(domain: string, fields: object): Uint8Array {
  const [prefix, encoded] = [new TextEncoder().encode(domain), encodeCanonical(fields)]
  const message = new Uint8Array(prefix.length + encoded.length)
  message.set(prefix)
  message.set(encoded, prefix.length)
  return message
}

/** The map with its signature, encoded. */
export const signMap = (domain: string, fields: object, signer: Signer): Uint8Array =>
  encodeCanonical({ ...fields, sig: signer.sign(signedBytes(domain, fields)) })

/**
 * Reads such a map strictly: its form only.
 *
 * @param keyField the field that names the key of the signature
 * @throws EmrError `request_malformed`
 */
export function readSignedMap<F extends Readonly<Record<string, Field<unknown>>>>(
  domain: string,
  fields: F,
  keyField: keyof F,
  bytes: Uint8Array,
): SignedMap<BodyOf<F>> {
  const { sig, ...rest } = asRequest(() => readBody({ ...fields, sig: byteString(64) }, decodeCanonical(bytes)))
  const key = rest[keyField as keyof typeof rest]
  if (!(key instanceof Uint8Array) || !(sig instanceof Uint8Array)) throw new EmrError('internal')
  return {
    fields: rest as BodyOf<F>,
    claim: { signature: sig, key, message: signedBytes(domain, rest) },
    bytes,
  }
}

/** Errors of form as those of a request: nothing of it is a transaction. */
export function asRequest<T>(read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (error instanceof EmrError && error.code !== 'internal')
      // Without the cause: the decoder's own error may show bytes that are secret.
      throw new EmrError('request_malformed', error.message)
    throw error
  }
}

import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js'
import {
  component,
  createSignatureSync,
  isSignatureError,
  type RequestDescriptor,
  type UntrustedSignatureCandidate,
  verifySignature,
} from 'http-message-sig'
import type { Signer, Verify } from '../crypto/ed25519.js'
import { EmrError } from '../errors.js'

/** Requests between nodes, and the answers to greetings, as they are signed (docs/protocol.md, "Signed requests"). */

/** How old a signature may be, and how far ahead of the clock it may be dated, in seconds. */
export const MAX_SIGNATURE_AGE = 60
export const MAX_SIGNATURE_LEAD = 30

const LABEL = 'emrchain'
const ALGORITHM = 'ed25519'
const REQUEST_PARTS = ['@method', '@authority', '@path', '@query', 'content-digest']
/** An answer names the signature of its request, and with it all that the request said. */
const ANSWER_PARTS = ['@status', 'content-digest', component('signature', { req: true, key: LABEL })]

/** The field `accept-signature` (RFC 9421, section 5.1) of an answer that asks for a signed request. */
export const ACCEPT_SIGNATURE = `${LABEL}=(${REQUEST_PARTS.map((part) => `"${part}"`).join(' ')});created;alg="${ALGORITHM}"`

/** What of a request is signed. */
export interface SignedRequest {
  readonly method: string
  /** Absolute: scheme, authority, path and query as they are sent. */
  readonly url: string
  /** `content-digest`, `signature-input` and `signature`, as far as they are there. */
  readonly fields: SignatureFields
}

export interface SignatureFields {
  readonly 'content-digest'?: string | undefined
  readonly 'signature-input'?: string | undefined
  readonly signature?: string | undefined
}

/** The three fields that sign a message. */
export type WholeSignature = { readonly [name in keyof SignatureFields]-?: string }

/** Who signed a request, and what makes this request a single one. */
export interface RequestSignature {
  /** The Ed25519 key, hexadecimal. */
  readonly key: string
  readonly nonce: string
  /** When it was signed, in seconds since 1970. */
  readonly created: number
}

/** The field `content-digest` (RFC 9530) of a body with this SHA-256. */
export const contentDigest = (sha256: Uint8Array): string => `sha-256=:${toBase64(sha256)}:`

/**
 * Signs a request (RFC 9421).
 *
 * @param nonce 16 random bytes in base64url, never used before
 */
export function signRequest(
  { method, url, digest }: { method: string; url: string; digest: string },
  signer: Signer,
  { created, nonce }: { created: number; nonce: string },
): WholeSignature {
  const { signature, signatureInput } = createSignatureSync(
    { kind: 'request', method, targetUri: url, fields: [{ name: 'content-digest', value: digest }] },
    {
      label: LABEL,
      components: REQUEST_PARTS,
      parameters: { created, nonce, keyid: bytesToHex(signer.publicKey), alg: ALGORITHM },
      signer: { algorithm: ALGORITHM, sign: signer.sign },
    },
  )
  return { 'content-digest': digest, 'signature-input': signatureInput, signature }
}

/**
 * Who signed a request. Neither the body, which must have the signed digest, nor the nonce has been looked at.
 *
 * @param now in ms since 1970
 * @throws EmrError `peer_unsigned`, `peer_bad_signature`, `peer_signature_old`, `peer_signature_early`
 */
export async function verifyRequest(request: SignedRequest, verify: Verify, now: number): Promise<RequestSignature> {
  const { fields } = request
  if (fields.signature === undefined || fields['signature-input'] === undefined) throw new EmrError('peer_unsigned')
  let found: RequestSignature | undefined
  await checked(
    verifySignature(describe(request), {
      label: LABEL,
      policy: {
        algorithms: [ALGORITHM],
        requiredComponents: REQUEST_PARTS,
        requiredParameters: ['created', 'nonce', 'keyid', 'alg'],
        // Its own limits are looser than ours, which `resolveVerifier` checks.
        clockSkew: Number.MAX_SAFE_INTEGER,
      },
      resolveVerifier(candidate) {
        const { created = Number.NaN, nonce = '' } = candidate.parameters
        if (!/^[\w-]{22}$/.test(nonce)) throw new EmrError('peer_bad_signature', 'Its nonce is not 16 bytes.')
        const age = now / 1000 - created
        if (age > MAX_SIGNATURE_AGE) throw new EmrError('peer_signature_old', clockOf(now))
        if (-age > MAX_SIGNATURE_LEAD) throw new EmrError('peer_signature_early', clockOf(now))
        found = { key: keyOf(candidate), nonce, created }
        return verifierOf(found.key, verify)
      },
    }),
  )
  if (!found) throw new EmrError('peer_bad_signature')
  return found
}

/**
 * Signs the answer to a signed request.
 *
 * @param request the field `signature` of the request
 */
export function signAnswer(
  { status, digest, request }: { status: number; digest: string; request: string },
  signer: Signer,
  { created }: { created: number },
): WholeSignature {
  const { signature, signatureInput } = createSignatureSync(answerOf(status, { 'content-digest': digest }, request), {
    label: LABEL,
    components: ANSWER_PARTS,
    parameters: { created, keyid: bytesToHex(signer.publicKey), alg: ALGORITHM },
    signer: { algorithm: ALGORITHM, sign: signer.sign },
  })
  return { 'content-digest': digest, 'signature-input': signatureInput, signature }
}

/**
 * The key, hexadecimal, that signed the answer to a request with this signature. The body must have the
 * signed digest, which the caller checks.
 *
 * @throws EmrError `peer_unsigned`, `peer_bad_signature`
 */
export async function verifyAnswer(
  { status, fields, request }: { status: number; fields: SignatureFields; request: string },
  verify: Verify,
): Promise<string> {
  if (fields.signature === undefined || fields['signature-input'] === undefined) throw new EmrError('peer_unsigned')
  let key: string | undefined
  await checked(
    verifySignature(answerOf(status, fields, request), {
      label: LABEL,
      policy: {
        algorithms: [ALGORITHM],
        requiredComponents: ANSWER_PARTS,
        requiredParameters: ['created', 'keyid', 'alg'],
        // The request that it names is new, and so is the answer.
        clockSkew: Number.MAX_SAFE_INTEGER,
      },
      resolveVerifier(candidate) {
        key = keyOf(candidate)
        return verifierOf(key, verify)
      },
    }),
  )
  if (key === undefined) throw new EmrError('peer_bad_signature')
  return key
}

const fieldList = (fields: SignatureFields) =>
  Object.entries(fields).flatMap(([name, value]) => (value === undefined ? [] : [{ name, value: String(value) }]))

const describe = ({ method, url, fields }: SignedRequest): RequestDescriptor => ({
  kind: 'request',
  method,
  targetUri: url,
  fields: fieldList(fields),
})

const answerOf = (status: number, fields: SignatureFields, signature: string) => ({
  kind: 'response' as const,
  status,
  fields: fieldList(fields),
  // Only the signature of the request is looked at: it stands for the rest.
  request: describe({ method: 'POST', url: 'http://peer/', fields: { signature } }),
})

function keyOf({ parameters: { keyid = '' } }: UntrustedSignatureCandidate): string {
  if (!/^[0-9a-f]{64}$/.test(keyid)) throw new EmrError('peer_bad_signature', 'Its keyid is not an Ed25519 key.')
  return keyid
}

const verifierOf = (key: string, verify: Verify) => {
  const publicKey = hexToBytes(key)
  return { algorithm: ALGORITHM, verify: (base: Uint8Array, by: Uint8Array) => verify(by, base, publicKey) }
}

const clockOf = (now: number): string => `The clock of this node says ${new Date(now).toISOString()}.`

/** What the library refuses is one thing for us: the fields do not sign this message. */
async function checked(verification: Promise<unknown>): Promise<void> {
  try {
    await verification
  } catch (error) {
    if (!isSignatureError(error)) throw error
    if (error.cause instanceof EmrError) throw error.cause
    throw new EmrError('peer_bad_signature', undefined, { reason: error.code }, { cause: error })
  }
}

function toBase64(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
}

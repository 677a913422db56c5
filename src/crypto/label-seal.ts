import { gcm } from '@noble/ciphers/aes.js'
import { abytes, concatBytes, randomBytes } from '@noble/hashes/utils.js'
import { EmrError } from '../errors.js'
import { idBytes } from './bound-bytes.js'
import { labelKey } from './content-key.js'

/** A label is padded to a multiple of this, so that its length says little of what is in it. */
export const LABEL_STEP = 256
/** Most bytes of a label before it is sealed. */
export const MAX_LABEL_SIZE = 3_840
const NONCE_SIZE = 12
const TAG_SIZE = 16
/** Most bytes of a sealed label: what a custodian has to take. */
export const MAX_SEALED_LABEL_SIZE = NONCE_SIZE + MAX_LABEL_SIZE + TAG_SIZE
const SPACE = 0x20

/** The record that a label belongs to. */
export interface LabelPlace {
  /** Id of the network: 36 bytes. */
  readonly genesis: Uint8Array
  /** `nonce` of the record. */
  readonly nonce: Uint8Array
}

/**
 * Seals the JSON text of a label under the share on the chain: `nonce || ciphertext || tag` of AES-256-GCM.
 *
 * @param iv 12 random bytes; made if left out, and given only to repeat known answers
 * @throws EmrError `label_malformed` if it is over 3,840 bytes
 */
export function sealLabel(
  chainShare: Uint8Array,
  text: string,
  place: LabelPlace,
  iv: Uint8Array = randomBytes(NONCE_SIZE),
): Uint8Array {
  const json = new TextEncoder().encode(text)
  if (json.length > MAX_LABEL_SIZE) throw new EmrError('label_malformed', `It has at most ${MAX_LABEL_SIZE} bytes.`)
  // Spaces behind JSON mean nothing, so padding needs no format of its own.
  const padded = new Uint8Array(Math.max(1, Math.ceil(json.length / LABEL_STEP)) * LABEL_STEP).fill(SPACE)
  padded.set(json)
  const cipher = gcm(labelKey(chainShare), abytes(iv, NONCE_SIZE, 'iv'), aadOf(place))
  return concatBytes(iv, cipher.encrypt(padded))
}

/** The JSON text of a label, with the spaces behind it. @throws EmrError `seal_wrong`, `label_malformed` */
export function openLabel(chainShare: Uint8Array, sealed: Uint8Array, place: LabelPlace): string {
  const size = sealed.length - NONCE_SIZE - TAG_SIZE
  if (size < LABEL_STEP || size > MAX_LABEL_SIZE || size % LABEL_STEP !== 0) throw new EmrError('seal_wrong')
  const cipher = gcm(labelKey(chainShare), sealed.subarray(0, NONCE_SIZE), aadOf(place))
  let padded: Uint8Array
  try {
    padded = cipher.decrypt(sealed.subarray(NONCE_SIZE))
  } catch {
    throw new EmrError('seal_wrong')
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(padded)
  } catch {
    throw new EmrError('label_malformed', 'It is no text.')
  }
}

const aadOf = ({ genesis, nonce }: LabelPlace): Uint8Array => concatBytes(idBytes(genesis), abytes(nonce, 32, 'nonce'))

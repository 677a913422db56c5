import { type Binding, open, type Sealed, seal } from '../crypto/hpke.js'
import { EmrError } from '../errors.js'
import { decodeCanonical, encodeCanonical, isBytes, isMapOf } from './canonical.js'
import { CHAIN_CID_LENGTH } from './cid.js'

const INFO = new TextEncoder().encode('emrchain/release/v1')

/** What a custodian keeps of a record and gives to whom consent allows it. */
export interface Release {
  /** The share that is not on the chain: `S_off`, 32 bytes. */
  readonly share: Uint8Array
  /** The label as it is sealed; the custodian cannot read it. Empty where there is none. */
  readonly label: Uint8Array
}

/** The one access that something is released for (docs/protocol.md, "Sealed secrets"). All are ids of 36 bytes. */
export interface ReleasePlace {
  readonly genesis: Uint8Array
  readonly record: Uint8Array
  /** The `access` transaction. */
  readonly access: Uint8Array
  readonly custodian: Uint8Array
}

/** Seals what is released to the X25519 key of whoever asked. @throws EmrError `seal_bad_key` */
export const sealRelease = (
  asker: Uint8Array,
  { share, label }: Release,
  place: ReleasePlace,
  ephemeral?: Uint8Array,
): Promise<Sealed> => seal(asker, encodeCanonical({ share, label }), bindingOf(place), ephemeral)

/**
 * Opens what a custodian released. That the share is that of the record is for `assertShare` to say.
 *
 * @throws EmrError `seal_wrong`, also where a custodian sealed something else than a release
 */
export async function openRelease(secret: Uint8Array, sealed: Sealed, place: ReleasePlace): Promise<Release> {
  const plain = await open(secret, sealed, bindingOf(place))
  let release: unknown
  try {
    release = decodeCanonical(plain)
  } catch {
    // The decoder's own error is about secret bytes.
    throw new EmrError('seal_wrong')
  }
  if (!isMapOf(release, ['share', 'label'])) throw new EmrError('seal_wrong')
  const { share, label } = release
  if (!isBytes(share, 32) || !isBytes(label)) throw new EmrError('seal_wrong')
  return { share, label }
}

/** Four parts of one length: no two places have the same bytes. */
function bindingOf({ genesis, record, access, custodian }: ReleasePlace): Binding {
  const aad = new Uint8Array(4 * CHAIN_CID_LENGTH)
  for (const [index, id] of [genesis, record, access, custodian].entries()) {
    if (id.length !== CHAIN_CID_LENGTH) throw new RangeError(`An id has ${CHAIN_CID_LENGTH} bytes, not ${id.length}.`)
    aad.set(id, index * CHAIN_CID_LENGTH)
  }
  return { info: INFO, aad }
}

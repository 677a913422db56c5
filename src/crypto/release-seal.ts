import { abytes, concatBytes } from '@noble/hashes/utils.js'
import { EmrError } from '../errors.js'
import { idBytes } from './bound-bytes.js'
import { SHARE_SIZE } from './content-key.js'
import { type Binding, open, type Sealed, seal } from './hpke.js'

const DOMAIN = new TextEncoder().encode('emrchain/release/v1')

/** What a custodian keeps of a record and gives to whom consent allows it. */
export interface Release {
  /** The share that is not on the chain. */
  readonly off: Uint8Array
  /** The label as it is sealed (`sealLabel`); the custodian cannot read it. Empty where there is none. */
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
  { off, label }: Release,
  place: ReleasePlace,
  ephemeral?: Uint8Array,
): Promise<Sealed> => seal(asker, concatBytes(abytes(off, SHARE_SIZE, 'share'), label), bindingOf(place), ephemeral)

/**
 * Opens what a custodian released. That the share is that of the record is for `assertShare` to say.
 *
 * @throws EmrError `seal_wrong`
 */
export async function openRelease(secret: Uint8Array, sealed: Sealed, place: ReleasePlace): Promise<Release> {
  const both = await open(secret, sealed, bindingOf(place))
  if (both.length < SHARE_SIZE) throw new EmrError('seal_wrong')
  return { off: both.slice(0, SHARE_SIZE), label: both.slice(SHARE_SIZE) }
}

const bindingOf = ({ genesis, record, access, custodian }: ReleasePlace): Binding => ({
  info: concatBytes(DOMAIN, idBytes(genesis), idBytes(record), idBytes(access), idBytes(custodian)),
})

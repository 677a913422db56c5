import { abytes, concatBytes } from '@noble/hashes/utils.js'
import { EmrError } from '../errors.js'
import { type ClassEpoch, classEpochBytes, counted, idBytes } from './bound-bytes.js'
import { type Binding, open, type Sealed, seal } from './hpke.js'

const INFO = new TextEncoder().encode('emrchain/grant-seal/v1')
/** Bytes of each secret in a grant: the share of a record, or the secret of a class key. */
const SECRET_SIZE = 32

/** The grant that secrets are sealed in (docs/protocol.md, "Sealed secrets"). */
export interface GrantPlace {
  /** Id of the network: 36 bytes. */
  readonly genesis: Uint8Array
  readonly patient: Uint8Array
  readonly grantee: Uint8Array
  /** Ids of the records, and class keys, that the secrets are of: all records first, in the order of the grant. */
  readonly records: readonly Uint8Array[]
  readonly keys: readonly ClassEpoch[]
}

/** Seals the secrets of a grant, one for each record and then for each key, to the grantee. @throws EmrError `seal_bad_key` */
export async function sealGrantSecrets(
  grantee: Uint8Array,
  secrets: readonly Uint8Array[],
  place: GrantPlace,
  ephemeral?: Uint8Array,
): Promise<Sealed> {
  const count = place.records.length + place.keys.length
  if (secrets.length !== count || count === 0)
    throw new RangeError(`${secrets.length} secrets are not those of ${count}.`)
  const all = concatBytes(...secrets.map((secret) => abytes(secret, SECRET_SIZE, 'secret')))
  return seal(grantee, all, bindingOf(place), ephemeral)
}

/** The secrets of a grant in its order, opened with the grantee's secret. @throws EmrError `seal_wrong` */
export async function openGrantSecrets(secret: Uint8Array, sealed: Sealed, place: GrantPlace): Promise<Uint8Array[]> {
  const all = await open(secret, sealed, bindingOf(place))
  const count = place.records.length + place.keys.length
  if (all.length !== count * SECRET_SIZE) throw new EmrError('seal_wrong')
  return Array.from({ length: count }, (_, index) => all.slice(index * SECRET_SIZE, (index + 1) * SECRET_SIZE))
}

const bindingOf = ({ genesis, patient, grantee, records, keys }: GrantPlace): Binding => ({
  info: INFO,
  aad: concatBytes(
    idBytes(genesis),
    idBytes(patient),
    idBytes(grantee),
    counted(records.map(idBytes)),
    counted(keys.map(classEpochBytes)),
  ),
})

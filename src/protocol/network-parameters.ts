import { hexToBytes } from '@noble/hashes/utils.js'
import type { CID } from 'multiformats/cid'
import { EmrError } from '../errors.js'
import { type Static, Type, Value } from '../typebox.js'
import { encodeCanonical } from './canonical.js'
import { cidOf } from './cid.js'
import {
  AsertDifficulty,
  type Difficulty,
  difficultyFields,
  FixedDifficulty,
  readDifficulty,
  ruleOf,
} from './difficulty-rule.js'

/** Version of the protocol that this program speaks: format of headers and set of transaction kinds. */
export const PROTOCOL_VERSION = 1

const whole = (minimum: number, maximum: number) => Type.Integer({ minimum, maximum })

/** Most keys of first administrators. */
const MAX_ADMINISTRATORS = 16

const AdministratorsFile = Type.Object(
  {
    keys: Type.Array(Type.String({ pattern: '^[0-9a-f]{64}$' }), { minItems: 1, maxItems: MAX_ADMINISTRATORS }),
    threshold: whole(1, MAX_ADMINISTRATORS),
  },
  { additionalProperties: false },
)

/** What a network file says besides its difficulty. */
const common = {
  name: Type.String({ pattern: '^[a-z0-9][a-z0-9-]{0,31}$' }),
  version: whole(1, 23),
  time: Type.String({ pattern: '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}\\.\\d{3}Z$' }),
  maxTransactionBytes: whole(512, 65_536),
  maxBlockTransactions: whole(1, 40_000),
  maxBlockBytes: whole(65_536, 33_554_432),
  clearLabels: Type.Boolean(),
  administrators: Type.Union([Type.Null(), AdministratorsFile]),
}
const networkFile = <T extends Type.TSchema>(difficulty: T) =>
  Type.Object({ ...common, difficulty }, { additionalProperties: false })

/** The network file, as people write it: JSON, by its difficulty rule. docs/protocol.md, "Network parameters". */
const networkFiles = { fixed: networkFile(FixedDifficulty), asert: networkFile(AsertDifficulty) }
export type NetworkFile = Static<typeof networkFiles.fixed> | Static<typeof networkFiles.asert>

/**
 * Who decides in a network: nobody, or so many of the administrators. These keys are those of the first ones, in the
 * order of their bytes; later ones are certified on the chain.
 */
export type Administrators = { readonly keys: readonly Uint8Array[]; readonly threshold: number } | null

/** A network: its rules, and the block of parameters whose CID fixes its genesis. */
export interface NetworkParameters {
  readonly name: string
  readonly version: number
  /** Time of the genesis block in ms since 1970. */
  readonly genesisTime: number
  /** Compact target of genesis, and by the rule `fixed` of every block. */
  readonly target: number
  /** How the target of a block follows from what came before. */
  readonly difficulty: Difficulty
  readonly maxTransactionBytes: number
  readonly maxBlockTransactions: number
  /** Largest sum of the sizes of a block's transactions, in bytes. */
  readonly maxBlockBytes: number
  /** Whether records may carry user id, names and size in clear. */
  readonly clearLabels: boolean
  readonly administrators: Administrators
  /** The parameters as a DAG-CBOR block: the first block of every chain file. */
  readonly bytes: Uint8Array
  readonly cid: CID
}

/** The network of the paper: open, labels in clear, 16 bits of work as in the prototype. */
export const paperNetwork: NetworkFile = {
  name: 'paper',
  version: PROTOCOL_VERSION,
  time: '2020-09-02T23:31:41.258Z',
  difficulty: { rule: 'fixed', target: '1f00ffff' },
  maxTransactionBytes: 8_192,
  maxBlockTransactions: 10_000,
  maxBlockBytes: 4_194_304,
  clearLabels: true,
  administrators: null,
}

/**
 * Network parameters from the contents of a network file (already parsed JSON).
 *
 * @throws EmrError `invalid_network`, `unsupported_version`
 */
export function parseNetworkFile(json: unknown): NetworkParameters {
  const schema = networkFiles[ruleOf(json)]
  if (!Value.Check(schema, json)) {
    const [first] = Value.Errors(schema, json)
    throw new EmrError('invalid_network', first ? `${first.instancePath || 'file'}: ${first.message}.` : undefined)
  }
  if (json.version > PROTOCOL_VERSION) throw new EmrError('unsupported_version', undefined, { version: json.version })
  const genesisTime = Date.parse(json.time)
  // JavaScript reads 30 February as a day in March; only a date that is written back the same is one.
  if (!(genesisTime >= 0) || new Date(genesisTime).toISOString() !== json.time) {
    throw new EmrError('invalid_network', 'time: not a date.')
  }
  const { target, difficulty } = readDifficulty(json.difficulty)
  const administrators = readAdministrators(json)
  const bytes = encodeCanonical({
    ...json,
    time: genesisTime,
    difficulty: difficultyFields(target, difficulty),
    administrators,
  })
  return {
    name: json.name,
    version: json.version,
    genesisTime,
    target,
    difficulty,
    maxTransactionBytes: json.maxTransactionBytes,
    maxBlockTransactions: json.maxBlockTransactions,
    maxBlockBytes: json.maxBlockBytes,
    clearLabels: json.clearLabels,
    administrators,
    bytes,
    cid: cidOf(bytes),
  }
}

/** One set of keys has one form, so that networks that are the same have the same genesis. */
function readAdministrators({ administrators, clearLabels }: NetworkFile): Administrators {
  if (!administrators) return null
  const { keys, threshold } = administrators
  const sorted = [...new Set(keys)].sort()
  if (sorted.join() !== keys.join()) {
    throw new EmrError('invalid_network', 'administrators: the keys are not sorted, or one is there twice.')
  }
  if (threshold > keys.length) throw new EmrError('invalid_network', 'administrators: more are needed than there are.')
  if (clearLabels) throw new EmrError('invalid_network', 'clearLabels: not in a network with administrators.')
  return { keys: sorted.map(hexToBytes), threshold }
}

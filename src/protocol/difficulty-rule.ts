import { EmrError } from '../errors.js'
import { type Static, Type } from '../typebox.js'
import { compactToBytes, compactToHex, compactToTarget, EASIEST_TARGET } from './compact-target.js'

/** The difficulty rules of network files, as people write them. docs/protocol.md, "Difficulty". */
const compact = Type.String({ pattern: '^[0-9a-f]{8}$' })

/** Every block has the same target. */
export const FixedDifficulty = Type.Object(
  { rule: Type.Literal('fixed'), target: compact },
  { additionalProperties: false },
)

/** aserti3-2d: the target follows the time that blocks take. */
export const AsertDifficulty = Type.Object(
  {
    rule: Type.Literal('asert'),
    target: compact,
    limit: compact,
    spacing: Type.Integer({ minimum: 100, maximum: 86_400_000 }),
    halfLife: Type.Integer({ minimum: 1_000, maximum: 2_592_000_000 }),
  },
  { additionalProperties: false },
)

/** How the target of a block follows from what came before it. */
export type Difficulty =
  | { readonly rule: 'fixed' }
  | {
      readonly rule: 'asert'
      /** Compact form of the largest target that a block may have. */
      readonly limit: number
      /** Time that a block is to take, in ms. */
      readonly spacing: number
      /** How late the chain is when the target has doubled, in ms. */
      readonly halfLife: number
    }

/**
 * The rule by which a network file is to be read. What has no difficulty at all is no matter of this rule or that:
 * reading on says what is wrong with it.
 *
 * @throws EmrError `invalid_network` where another rule is named, or none
 */
export function ruleOf(file: unknown): Difficulty['rule'] {
  if (!isObject(file) || !isObject(file.difficulty)) return 'fixed'
  const { rule } = file.difficulty
  if (rule === 'fixed' || rule === 'asert') return rule
  throw new EmrError('invalid_network', '/difficulty/rule: must be "fixed" or "asert".')
}

/**
 * Reads a rule of the right form: the compact target of genesis, and how it goes on from there.
 *
 * @throws EmrError `invalid_network`
 */
export function readDifficulty(file: Static<typeof FixedDifficulty> | Static<typeof AsertDifficulty>): {
  target: number
  difficulty: Difficulty
} {
  const target = readCompact('target', file.target)
  if (file.rule === 'fixed') return { target, difficulty: { rule: 'fixed' } }
  const { rule, spacing, halfLife } = file
  const limit = readCompact('limit', file.limit)
  if (compactToTarget(target) > compactToTarget(limit)) {
    throw new EmrError('invalid_network', `/difficulty/target: is above the limit, ${file.limit}.`)
  }
  if (halfLife < spacing) throw new EmrError('invalid_network', '/difficulty/halfLife: is shorter than the spacing.')
  return { target, difficulty: { rule, limit, spacing, halfLife } }
}

/** The entry `difficulty` of the block of parameters: compact targets are bytes there. */
export function difficultyFields(target: number, difficulty: Difficulty): object {
  const fields = { ...difficulty, target: compactToBytes(target) }
  return difficulty.rule === 'asert' ? { ...fields, limit: compactToBytes(difficulty.limit) } : fields
}

function readCompact(name: string, hex: string): number {
  const compact = Number.parseInt(hex, 16)
  let target: bigint
  try {
    target = compactToTarget(compact)
  } catch (cause) {
    throw new EmrError('invalid_network', `/difficulty/${name}: is no normalised compact target.`, {}, { cause })
  }
  if (target > compactToTarget(EASIEST_TARGET)) {
    throw new EmrError('invalid_network', `/difficulty/${name}: is above the easiest, ${compactToHex(EASIEST_TARGET)}.`)
  }
  return compact
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null

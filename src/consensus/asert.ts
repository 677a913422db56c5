/** What the rule `asert` is told: targets as numbers, all times in one unit. */
export interface AsertInput {
  readonly anchorTarget: bigint
  /** Largest target that comes out. */
  readonly limit: bigint
  /** Time that a block is to take. */
  readonly spacing: number
  /** The target doubles for each half-life that the chain is late, and halves for each that it is early. */
  readonly halfLife: number
  /** From the time of the anchor's parent to that of the newest block. */
  readonly timeDiff: number
  /** Blocks from the anchor to the newest block. */
  readonly heightDiff: number
}

/** Binary digits after the point in the exponent. */
const RADIX = 16n

/**
 * The target of the block after the newest one, by aserti3-2d: the anchor's target times 2 to the power of how
 * late the chain is, in half-lives. 2^x between whole powers is a polynomial of third degree, in integers alone, so
 * that every program gets the same number (Bitcoin Cash, 2020-11-15-asert). Before compact rounding.
 */
export function asertTarget(input: AsertInput): bigint {
  const { anchorTarget, limit, spacing, halfLife } = input
  const late = BigInt(input.timeDiff) - BigInt(spacing) * (BigInt(input.heightDiff) + 1n)
  // Division truncates toward zero, the shift rounds down: both are part of the rule.
  const exponent = (late * (1n << RADIX)) / BigInt(halfLife)
  const shifts = exponent >> RADIX
  // Beyond these the answer is known, and a shift by so much would fill the memory.
  if (shifts > 256n) return limit
  if (shifts < -512n) return 1n
  const fraction = BigInt.asUintN(16, exponent)
  const cubic = 195_766_423_245_049n * fraction + 971_821_376n * fraction ** 2n + 5_127n * fraction ** 3n
  const factor = (1n << RADIX) + ((cubic + (1n << 47n)) >> 48n)
  const places = shifts - RADIX
  const scaled = anchorTarget * factor
  const target = places > 0n ? scaled << places : scaled >> -places
  if (target === 0n) return 1n
  return target > limit ? limit : target
}

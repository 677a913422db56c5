/** The value that this part of all values does not exceed, by the nearest rank; NaN of none. @param sorted in ascending order */
export function quantile(sorted: ArrayLike<number>, part: number): number {
  return sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)] ?? Number.NaN
}

/** The same of values in any order. */
export const quantileOf = (values: readonly number[], part: number): number =>
  quantile(Float64Array.from(values).sort(), part)

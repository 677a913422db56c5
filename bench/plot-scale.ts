/** How values become places along an axis. */
export interface Scale {
  /** 0 at the beginning of the axis, 1 at its end. */
  at(value: number): number
  /** Values that are worth a line and a number, in order. */
  readonly ticks: readonly number[]
}

const TICKS = 6
const STEPS = [1, 2, 5] as const
/** Above so many decades only powers of ten have a number. */
const FEW_DECADES = 3

/** An axis for these values with round ends. Where none is negative it begins at 0 if `fromZero`. */
export function linearScale(values: readonly number[], fromZero: boolean): Scale {
  const [least, most] = [Math.min(...values), Math.max(...values)]
  const from = fromZero && least >= 0 ? 0 : least
  const span = most > from ? most - from : Math.abs(most) || 1
  const power = 10 ** Math.floor(Math.log10(span / TICKS))
  const step = power * ([...STEPS, 10].find((factor) => span / (power * factor) <= TICKS) ?? 10)
  const [first, last] = [Math.floor(from / step), Math.max(Math.ceil(most / step), Math.floor(from / step) + 1)]
  const ticks = Array.from({ length: last - first + 1 }, (_, tick) => Number(((first + tick) * step).toPrecision(12)))
  return { ticks, at: (value) => (value / step - first) / (last - first) }
}

/** A logarithmic axis for these values, all above 0, from and to a 1, 2 or 5 with zeros. */
export function logarithmicScale(values: readonly number[]): Scale {
  const [least, most] = [Math.min(...values), Math.max(...values)]
  const rounded = (value: number, up: boolean): number => {
    const power = 10 ** Math.floor(Math.log10(value) + 1e-9)
    const candidates = [...STEPS, 10].map((factor) => Number((factor * power).toPrecision(12)))
    const fitting = candidates.filter((candidate) => (up ? candidate >= value : candidate <= value))
    return (up ? fitting[0] : fitting.at(-1)) ?? value
  }
  const from = rounded(least, false)
  const to = from < rounded(most, true) ? rounded(most, true) : rounded(most * 1.5, true)
  const decades = Math.log10(to / from)
  const ticks: number[] = []
  for (let power = Math.floor(Math.log10(from) + 1e-9); power <= Math.log10(to) + 1e-9; power++) {
    for (const factor of decades > FEW_DECADES ? [1] : STEPS) {
      const tick = Number((factor * 10 ** power).toPrecision(12))
      if (tick >= from && tick <= to) ticks.push(tick)
    }
  }
  return { ticks, at: (value) => Math.log10(value / from) / decades }
}

import { type Emitter, emitSearch } from './emit-search.js'
import type { Search } from './search.js'
import { searchPlan } from './search-plan.js'

const script: Emitter<string> = {
  constant: (place) => `c${place}`,
  nonce: () => 'n',
  get: (variable) => `v${variable}`,
  set: (variable, value) => `v${variable} = ${value}`,
  add: (left, right) => `(${left} + ${right} | 0)`,
  and: (left, right) => `(${left} & ${right})`,
  xor: (left, right) => `(${left} ^ ${right})`,
  rotate: (value, by) => `(${value} >>> ${by} | ${value} << ${32 - by})`,
  shift: (value, by) => `(${value} >>> ${by})`,
}

/**
 * The search as JavaScript, one nonce after another, for machines without the vectors that the other needs. It is a function
 * of some 250 assignments, compiled from text; nothing of a header enters that text, only places and numbers of the plan.
 * Each sum ends in `| 0`: without it the engine computes with doubles, which hold such sums too, and slower.
 */
export function createScriptSearch(): Search {
  const { statements, firstWord, variables } = emitSearch(script)
  const constants = Array.from({ length: searchPlan.constants }, (_, place) => `c${place} = constants[${place}]`)
  const find = new Function(
    'constants',
    'low',
    'count',
    `const ${constants.join(', ')}, most = c${searchPlan.target} >>> 0
    let ${Array.from({ length: variables }, (_, variable) => `v${variable} = 0`).join(', ')}
    for (let offset = 0; offset < count; offset++) {
      const n = low + offset | 0
      ${statements.join('\n      ')}
      if (${firstWord} >>> 0 <= most) return offset
    }
    return -1`,
  ) as (constants: Int32Array, low: number, count: number) => number
  let held = new Int32Array(searchPlan.constants)
  return {
    set: (constants) => {
      held = Int32Array.from(constants)
    },
    find: (low, count) => find(held, low | 0, count),
  }
}

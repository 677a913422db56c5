import { EmrError } from '../errors.js'

const shortEscapes: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
}

/** Deeper values than this are refused, long before the call stack is in danger. */
const depthLimit = 100

const unicodeEscape = (unit: string): string => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`

const pythonString = (text: string): string => {
  // Python keeps printable ASCII; all else, U+007F included, becomes one escape for each UTF-16 unit.
  const escaped = text.replace(/["\\]|[^ -~]/g, (unit) => shortEscapes[unit] ?? unicodeEscape(unit))
  return `"${escaped}"`
}

/** Python compares strings by code point; JavaScript's own order, by UTF-16 unit, differs above U+FFFF. */
const compareCodePoints = (left: string, right: string): number => {
  const a = Array.from(left, (character) => character.codePointAt(0) ?? 0)
  const b = Array.from(right, (character) => character.codePointAt(0) ?? 0)
  for (const [position, point] of a.entries()) {
    const other = b[position]
    if (other === undefined) return 1
    if (point !== other) return point - other
  }
  return a.length - b.length
}

const pythonNumber = (value: number): string => {
  if (Number.isSafeInteger(value)) return String(Object.is(value, -0) ? 0 : value)
  throw new EmrError(
    'prototype_malformed',
    `It holds the number ${value}; only exact integers can be hashed as Python does.`,
  )
}

const write = (value: unknown, depth: number): string => {
  if (depth > depthLimit) throw new EmrError('prototype_malformed', `It is nested deeper than ${depthLimit} levels.`)
  if (value === null) return 'null'
  if (typeof value === 'boolean') return String(value)
  if (typeof value === 'string') return pythonString(value)
  if (typeof value === 'bigint') return String(value)
  if (typeof value === 'number') return pythonNumber(value)
  if (Array.isArray(value)) return `[${value.map((item) => write(item, depth + 1)).join(', ')}]`
  if (typeof value === 'object') {
    const entries = Object.entries(value).sort(([left], [right]) => compareCodePoints(left, right))
    return `{${entries.map(([key, item]) => `${pythonString(key)}: ${write(item, depth + 1)}`).join(', ')}}`
  }
  throw new EmrError('prototype_malformed', `JSON has no ${typeof value}.`)
}

/**
 * The text of Python's `json.dumps(value, sort_keys=True)` with its other defaults, which is what the prototype
 * hashes: `", "` and `": "` between the parts, keys in the order of their code points, everything outside
 * printable ASCII escaped in lower-case hex.
 *
 * Takes null, booleans, strings, arrays, plain objects and integers (numbers up to 2^53 - 1, or bigint of any
 * length). Throws `prototype_malformed` for anything else. A number such as 1.0 cannot be told from 1 once
 * JSON.parse has read it, so a caller that has the source text must look there first, as `readPrototypeChain` does.
 */
export const pythonJson = (value: unknown): string => write(value, 0)

import { type Emitter, emitSearch } from './emit-search.js'
import type { Search } from './search.js'
import { searchPlan } from './search-plan.js'

/**
 * The search as a WebAssembly module: four nonces a pass, one in each lane of a vector of 128 bits
 * (webassembly.github.io/spec/core, "Vector Instructions"). The module is made here, byte by byte, when a
 * thread starts: 13 KB in some milliseconds, so no tool is needed to build it and no binary is shipped. It imports
 * nothing and reaches nothing but its own page of memory.
 *
 * Its one function, where a vector of one number has it in all four lanes:
 *
 *     find(low, count):
 *       nonce = low + (0, 1, 2, 3)
 *       do
 *         the statements of emit-search.ts, in all lanes at once
 *         found = a bit for each lane whose first word is, unsigned, at most that of the target
 *         if (found) return offset + the number of its lowest bit
 *         nonce += 4, offset += 4
 *       while (offset < count)
 *       return -1
 *
 * In memory each constant of the plan stands four times over, at 16 times its place, so that one load brings it into all
 * lanes; behind them are (0, 1, 2, 3) and (4, 4, 4, 4). Vectors have no rotation: it is two shifts and an "or".
 *
 * Code is written as the specification's binary format has it, for a machine with a stack: operands first, then the
 * instruction, so an expression of `Emitter` is its operands' bytes one after the other and its own behind them. Numbers
 * below 64 are one byte in either form of LEB128, so those that are written out here stand as they are.
 */

type Code = readonly number[]

/** What is used of the JavaScript interface; the types of Node.js leave it out. */
declare const WebAssembly: {
  validate(bytes: Uint8Array): boolean
  readonly Module: new (bytes: Uint8Array) => object
  readonly Instance: new (module: object) => { readonly exports: unknown }
}
interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer }
  find(low: number, count: number): number
}

// Instructions and types, by the names that the specification gives them (5.4 Instructions, 5.3 Types).
const i32 = 0x7f
const v128 = 0x7b
const empty = 0x40
const [loop, ifThen, end, branchIf, ret] = [0x03, 0x04, 0x0b, 0x0d, 0x0f]
const [localGet, localSet, localTee] = [0x20, 0x21, 0x22]
const [i32Const, i32LessUnsigned, i32Ctz, i32Add] = [0x41, 0x49, 0x68, 0x6a]
const vector = (instruction: number): Code => [0xfd, ...unsigned(instruction)]
const [v128Load, i32x4Splat, i32x4LessOrEqualUnsigned] = [vector(0), vector(17), vector(62)]
const [v128And, v128Or, v128Xor, i32x4Bitmask] = [vector(78), vector(80), vector(81), vector(164)]
const [i32x4ShiftLeft, i32x4ShiftRight, i32x4Add] = [vector(171), vector(173), vector(174)]

/** LEB128, as all numbers in a module: 5.2.2 Integers. */
function unsigned(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...unsigned(value >>> 7)]
}
function signed(value: number): number[] {
  return value >= -64 && value < 64 ? [value & 127] : [(value & 127) | 128, ...signed(value >> 7)]
}
const listOf = (items: readonly Code[]): number[] => [...unsigned(items.length), ...items.flat()]
const sized = (bytes: Code): number[] => [...unsigned(bytes.length), ...bytes]
const section = (id: number, items: readonly Code[]): number[] => [id, ...sized(listOf(items))]
const text = (name: string): number[] => sized([...new TextEncoder().encode(name)])

/** Constants lie in memory four times over, one vector each; behind them the steps of the nonce. */
const vectorBytes = 16
const lanes = 4
const firstLanes = searchPlan.constants
const step = searchPlan.constants + 1
const load = (place: number): number[] => [i32Const, 0, ...v128Load, 4, ...unsigned(place * vectorBytes)]

// Locals: the two parameters, two counters, then vectors.
const [low, count, offset, found, nonce, variables] = [0, 1, 2, 3, 4, 5]

const emitter: Emitter<Code> = {
  constant: load,
  nonce: () => [localGet, nonce],
  get: (variable) => [localGet, ...unsigned(variables + variable)],
  set: (variable, value) => [...value, localSet, ...unsigned(variables + variable)],
  add: (left, right) => [...left, ...right, ...i32x4Add],
  and: (left, right) => [...left, ...right, ...v128And],
  xor: (left, right) => [...left, ...right, ...v128Xor],
  rotate: (value, by) => [
    ...[...value, i32Const, by, ...i32x4ShiftRight],
    ...[...value, i32Const, 32 - by, ...i32x4ShiftLeft, ...v128Or],
  ],
  shift: (value, by) => [...value, i32Const, by, ...i32x4ShiftRight],
}

/**
 * The module: sections for types (1), functions (3), memory (5), exports (7) and code (10), 5.5 Modules. `find` is that of Search,
 * except that the last pass may look beyond `count`, even beyond the last nonce; what it finds there is dropped.
 */
function moduleBytes(): Uint8Array {
  const { statements, firstWord, variables: used } = emitSearch(emitter)
  const body = [
    ...[localGet, low, ...i32x4Splat, ...load(firstLanes), ...i32x4Add, localSet, nonce],
    ...[loop, empty],
    ...statements.flat(),
    ...[...firstWord, ...load(searchPlan.target), ...i32x4LessOrEqualUnsigned, ...i32x4Bitmask, localTee, found],
    ...[ifThen, empty, localGet, offset, localGet, found, i32Ctz, i32Add, ret, end],
    ...[localGet, nonce, ...load(step), ...i32x4Add, localSet, nonce],
    ...[localGet, offset, i32Const, lanes, i32Add, localTee, offset, localGet, count, i32LessUnsigned],
    ...[branchIf, 0, end, i32Const, ...signed(-1), end],
  ]
  const locals = listOf([
    [2, i32],
    [...unsigned(1 + used), v128],
  ])
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [[0x60, ...listOf([[i32], [i32]]), ...listOf([[i32]])]]),
    ...section(3, [[0]]),
    ...section(5, [[0, 1]]),
    ...section(7, [
      [...text('memory'), 2, 0],
      [...text('find'), 0, 0],
    ]),
    ...section(10, [sized([...locals, ...body])]),
  ])
}

/** Undefined where this machine has no such vectors. */
export function createVectorSearch(): Search | undefined {
  const bytes = moduleBytes()
  if (!WebAssembly.validate(bytes)) return undefined
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes))
  const { memory, find } = exports as Exports
  const table = new Int32Array(memory.buffer)
  table.set([0, 1, 2, 3, 4, 4, 4, 4], firstLanes * lanes)
  return {
    set(constants) {
      constants.forEach((constant, place) => {
        table.fill(constant, place * lanes, (place + 1) * lanes)
      })
    },
    find(low, count) {
      if (count === 0) return -1
      const offset = find(low, count)
      return offset < count ? offset : -1
    },
  }
}

import { EmrError } from '../errors.js'
import { assertKernelInput, assertKernelRange, type HashKernel, headerLength } from './kernel.js'
import { createNativeKernel } from './native-kernel.js'
import type { Search } from './search.js'
import { constantsOf } from './search-plan.js'

const wordLimit = 2 ** 32
/** Most nonces that a search is asked for at once. */
const searchLimit = 2 ** 30

/** A kernel over a search that knows the first word of a digest only: the rare hit is hashed again, whole, by node:crypto. */
export function createSearchKernel(search: Search): HashKernel {
  const exact = createNativeKernel()
  const header = new Uint8Array(headerLength)
  let targetWord: number | undefined
  let preparedFor: number | undefined

  return {
    set(newHeader, target) {
      assertKernelInput(newHeader, target)
      exact.set(newHeader, target)
      header.set(newHeader)
      targetWord = new DataView(target.buffer, target.byteOffset).getInt32(0)
      preparedFor = undefined
    },

    scan(start, count) {
      if (targetWord === undefined) throw new EmrError('internal', 'The kernel has no header yet.')
      assertKernelRange(start, count)
      const end = start + count
      for (let next = start; next < end; ) {
        const highWord = Math.floor(next / wordLimit)
        if (highWord !== preparedFor) {
          search.set(constantsOf(header, highWord, targetWord))
          preparedFor = highWord
        }
        const low = next - highWord * wordLimit
        const length = Math.min(end - next, wordLimit - low, searchLimit)
        const offset = search.find(low, length)
        if (offset !== -1 && exact.scan(next + offset, 1) !== -1) return next + offset
        next += offset === -1 ? length : offset + 1
      }
      return -1
    },
  }
}

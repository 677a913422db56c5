import { hash } from 'node:crypto'
import { EmrError } from '../errors.js'
import { assertKernelInput, assertKernelRange, type HashKernel, headerLength, nonceOffset } from './kernel.js'

/**
 * The plain kernel: one call of node:crypto a nonce. It is the reference for every other kernel,
 * and what the miner checks a found nonce with.
 */
export const createNativeKernel = (): HashKernel => {
  const header = Buffer.alloc(headerLength)
  let targetHex: string | undefined

  return {
    set(newHeader, target) {
      assertKernelInput(newHeader, target)
      header.set(newHeader)
      header.fill(0, nonceOffset - 2)
      targetHex = Buffer.from(target).toString('hex')
    },

    scan(start, count) {
      if (targetHex === undefined) throw new EmrError('internal', 'The kernel has no header yet.')
      assertKernelRange(start, count)
      const end = start + count
      for (let nonce = start; nonce < end; nonce++) {
        header.writeUIntBE(nonce, nonceOffset, 6)
        // Digests in hex have one length, so the order of the texts is the order of the numbers; 'hex' is also the
        // fastest encoding that crypto.hash has, as it makes no Buffer.
        if (hash('sha256', header, 'hex') <= targetHex) return nonce
      }
      return -1
    },
  }
}

import { type HashKernel, nonceLimit } from './kernel.js'
import { type MiningJob, openJobControl } from './mining-job.js'

/** Nonces between two looks at the stop flag: about 0.6 ms with the fastest kernel, 4 ms with the plain one. */
const sliceLength = 8192

/**
 * Searches slice after slice that no other worker of this job has taken, until a nonce is found here or the
 * job is stopped or has no slice left. Returns the nonce, or -1. A find stops the other workers as well.
 */
export const searchSlices = (kernel: HashKernel, job: MiningJob): number => {
  const control = openJobControl(job.control)
  kernel.set(job.header, job.target)
  while (!control.isStopped()) {
    const start = job.first + control.takeSlice() * sliceLength
    if (start >= nonceLimit) return -1
    const count = Math.min(sliceLength, nonceLimit - start)
    const nonce = kernel.scan(start, count)
    control.addHashes(nonce === -1 ? count : nonce - start + 1)
    if (nonce !== -1) {
      control.stop()
      return nonce
    }
  }
  return -1
}

import { parentPort } from 'node:worker_threads'
import { EmrError } from '../errors.js'
import { createFastKernel } from './fast-kernel.js'
import type { MiningJob, MiningReply } from './mining-job.js'
import { searchSlices } from './search-slices.js'

// The thread that the miner starts: it takes a job a message and answers each with one reply.
const port = parentPort
if (!port) throw new EmrError('internal', 'The mining worker runs in a worker thread only.')

const kernel = createFastKernel()
port.on('message', (job: MiningJob) => {
  const reply: MiningReply = { id: job.id, nonce: searchSlices(kernel, job) }
  port.postMessage(reply)
})

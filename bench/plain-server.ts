/** Run by retrieval.ts in a thread: answers every request with the bytes that it was given, and does nothing else. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import { parentPort, workerData } from 'node:worker_threads'

const bytes = workerData instanceof Uint8Array ? workerData : new Uint8Array(0)
const server = createServer((_request, answer) => {
  answer.setHeader('content-length', bytes.length)
  answer.end(bytes)
}).listen(0, '127.0.0.1')
await once(server, 'listening')
const address = server.address()
parentPort?.postMessage(typeof address === 'object' ? address?.port : undefined)

/**
 * Run as a worker thread: commits batches to one LMDB folder, since a durable commit waits for the
 * disk. (The library's own background writes are not used: when one fails it loses the reason and
 * leaves rejections that nobody can handle.)
 */
import { parentPort, workerData } from 'node:worker_threads'
import { unpackWrites } from './page-writes.js'
import { type CommitReply, type CommitRequest, openPages, putAll } from './pages.js'

const port = parentPort
if (!port) throw new Error('commit-worker runs as a worker thread')

const { folder, durable } = workerData as { folder: string; durable: boolean }
const pages = openPages(folder, { durable })

const commit = (request: Exclude<CommitRequest, 'close'>): CommitReply => {
  try {
    pages.transactionSync(() => putAll(pages, unpackWrites(request)))
    return { done: true }
  } catch (error) {
    const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : null
    return { done: false, code: typeof code === 'number' || typeof code === 'string' ? code : null }
  }
}

port.on('message', async (request: CommitRequest) => {
  if (request !== 'close') return port.postMessage(commit(request))
  await pages.close()
  port.close()
})

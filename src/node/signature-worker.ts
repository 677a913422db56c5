/**
 * Run as a worker thread by signature-pool.ts: judges slices of claims. The first claim that is wrong ends a
 * slice, so that what is made up costs no more than one slow check, and slices of others get their turn.
 */
import { parentPort } from 'node:worker_threads'
import { createSignatureRules } from './signature-rules.js'
import { type SliceReply, type SliceRequest, unpackClaims, verdictCodes } from './signature-slices.js'

const port = parentPort
if (!port) throw new Error('signature-worker runs as a worker thread')

const rules = createSignatureRules()

port.on('message', (request: SliceRequest) => {
  const verdicts = new Uint8Array(request.count)
  let at = 0
  for (const { signature, message, key } of unpackClaims(request)) {
    if (request.keysOnly) {
      verdicts[at++] = rules.isValidKey(key) ? verdictCodes.good : verdictCodes.badKey
      continue
    }
    const isGood = rules.verify(signature, message, key)
    verdicts[at++] = isGood ? verdictCodes.good : verdictCodes.badSignature
    if (!isGood) break
  }
  port.postMessage(verdicts satisfies SliceReply, [verdicts.buffer])
})

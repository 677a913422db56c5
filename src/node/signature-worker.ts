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
    const isKeyGood = request.knownKeys[at] === 1 || rules.isValidKey(key)
    const isGood = isKeyGood && rules.verify(signature, message, key)
    verdicts[at++] = isGood ? verdictCodes.good : isKeyGood ? verdictCodes.badSignature : verdictCodes.badKey
    if (!isGood) break
  }
  port.postMessage(verdicts satisfies SliceReply, [verdicts.buffer])
})

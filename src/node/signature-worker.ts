/** Run as a worker thread by signature-pool.ts: judges slices of claims, as signature-slices.ts says. */
import { parentPort } from 'node:worker_threads'
import type { SignatureClaim } from '../protocol/signatures-of-others.js'
import { createSignatureRules, isGoodQuickly } from './signature-rules.js'
import { type SliceReply, type SliceRequest, type SliceTask, unpackClaims, verdictCodes } from './signature-slices.js'

const port = parentPort
if (!port) throw new Error('signature-worker runs as a worker thread')

const rules = createSignatureRules()

const judges: Readonly<Record<SliceTask, (claim: SignatureClaim) => number>> = {
  keys: ({ key }) => (rules.isValidKey(key) ? verdictCodes.good : verdictCodes.badKey),
  signatures: ({ signature, message, key }) =>
    rules.verify(signature, message, key) ? verdictCodes.good : verdictCodes.badSignature,
  sift: (claim) => (isGoodQuickly(rules, claim) ? verdictCodes.good : verdictCodes.unknown),
}

port.on('message', (request: SliceRequest) => {
  const verdicts = new Uint8Array(request.count)
  const judge = judges[request.task]
  let at = 0
  for (const claim of unpackClaims(request)) {
    const verdict = judge(claim)
    verdicts[at++] = verdict
    if (verdict === verdictCodes.badSignature) break
  }
  port.postMessage(verdicts satisfies SliceReply, [verdicts.buffer])
})

import { createPublicKey, type KeyObject, verify } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { verifyNative } from '#emrchain/crypto/ed25519-node.js'
import { createSignaturePool } from '#emrchain/node/signature-pool.js'
import type { SignatureClaim } from '#emrchain/protocol/signatures-of-others.js'
import { transactionClaim } from '#emrchain/protocol/transaction.js'
import { createBlockMaker, signerOf } from '../test/fixtures/block-maker.js'
import { type Benchmark, figure } from './figures.js'
import { processorRate } from './rates.js'

const [AUTHORS, CLAIMS, BLOCK] = [1_000, 5_000, 500] as const
/** What precedes the 32 raw bytes of a key in its DER form: RFC 8410. */
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex')

/**
 * Verifications a second of the signatures of 5,000 records by 1,000 authors, whose keys are known: on one thread, and by the pool of the node in
 * blocks of 500, as they come when a chain is taken. The reference is `verify` of node:crypto alone, with imported keys.
 */
export const signatures: Benchmark = async ({ runs, isQuick, say }) => {
  const claims = makeClaims()
  const [seconds, rounds] = isQuick ? [0.5, 1] : [2, 4]
  const threads = availableParallelism()
  const pool = createSignaturePool({ threads })
  const measured = { reference: [] as number[], one: [] as number[], pool: [] as number[], processor: [] as number[] }
  try {
    const plain = plainVerify(claims)
    // Keys are judged and modules compiled before anything counts.
    await poolOnce(pool, claims)
    for (let run = 0; run < runs; run++) {
      measured.reference.push(rateOf(claims, seconds, plain))
      measured.one.push(rateOf(claims, seconds, ({ signature, message, key }) => verifyNative(signature, message, key)))
      const [began, before] = [process.cpuUsage(), performance.now()]
      for (let round = 0; round < rounds; round++) await poolOnce(pool, claims)
      const took = (performance.now() - before) / 1_000
      const { user, system } = process.cpuUsage(began)
      measured.pool.push((rounds * CLAIMS) / took)
      measured.processor.push((rounds * CLAIMS * 1e6) / (user + system))
      const [plainRate, oneRate, poolRate] = [measured.reference, measured.one, measured.pool].map((of) =>
        of.at(-1)?.toFixed(0),
      )
      say(
        `signatures: run ${run + 1} of ${runs}: node:crypto ${plainRate}/s, one thread ${oneRate}/s, pool ${poolRate}/s`,
      )
    }
  } finally {
    await pool.close()
  }
  const times = (values: readonly number[]) =>
    values.map((value, run) => value / (measured.reference[run] ?? Number.NaN))
  return [
    figure('reference: verify of node:crypto, known keys, a second of processor time', '1/s', measured.reference),
    figure('one thread, a second of processor time', '1/s', measured.one),
    figure(`pool of ${threads} threads, by the clock`, '1/s', measured.pool),
    figure('pool, a second of processor time', '1/s', measured.processor),
    figure('one thread, of the reference', 'times', times(measured.one)),
    figure('pool, of the reference: by the clock', 'times', times(measured.pool)),
    figure('pool, of the reference: a second of processor time', 'times', times(measured.processor)),
  ]
}

function makeClaims(): SignatureClaim[] {
  const maker = createBlockMaker()
  return Array.from({ length: CLAIMS }, (_, at) => {
    const label = { user_id: `user-${at % AUTHORS}`, EHR_name: `MRI-${at}`, file_name: `MRI-${at}.pdf`, size: at }
    return transactionClaim(maker.record(`MRI-${at}`, { signer: signerOf(`author-${at % AUTHORS}`), label }))
  })
}

/** As a program would that checks signatures of known authors and nothing else. */
function plainVerify(claims: readonly SignatureClaim[]): (claim: SignatureClaim) => boolean {
  const keys = new Map<SignatureClaim, KeyObject>()
  for (const claim of claims) {
    keys.set(claim, createPublicKey({ key: Buffer.concat([SPKI_PREFIX, claim.key]), format: 'der', type: 'spki' }))
  }
  return (claim) => {
    const key = keys.get(claim)
    return key !== undefined && verify(null, claim.message, key, claim.signature)
  }
}

function rateOf(claims: readonly SignatureClaim[], seconds: number, check: (claim: SignatureClaim) => boolean): number {
  let next = 0
  return processorRate(() => {
    for (let done = 0; done < BLOCK; done++) {
      const claim = claims[next++ % claims.length]
      if (!claim || !check(claim)) throw new Error('A signature does not hold.')
    }
    return BLOCK
  }, seconds)
}

/** All claims in blocks, some at once, as the importer of a chain has them checked ahead. */
async function poolOnce(
  pool: ReturnType<typeof createSignaturePool>,
  claims: readonly SignatureClaim[],
): Promise<void> {
  const blocks = Array.from({ length: CLAIMS / BLOCK }, (_, at) => claims.slice(at * BLOCK, (at + 1) * BLOCK))
  for (const verdicts of await Promise.all(blocks.map((block) => pool.check(block)))) {
    if (verdicts.length !== BLOCK || verdicts.some((verdict) => verdict !== 'good'))
      throw new Error('A verdict is wrong.')
  }
}

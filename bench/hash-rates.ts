import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { type HashKernel, headerLength, nonceOffset, targetLength } from '#emrchain/mining/kernel.js'
import { createNativeKernel } from '#emrchain/mining/native-kernel.js'
import { createScriptSearch } from '#emrchain/mining/script-search.js'
import { createSearchKernel } from '#emrchain/mining/search-kernel.js'
import { createVectorSearch } from '#emrchain/mining/vector-search.js'
import type { BenchmarkOptions } from './figures.js'
import { processorRate } from './rates.js'

/** Something that hashes a header with one nonce after another. */
export interface HashRate {
  readonly what: string
  /** Hashes a second and core. */
  measure(): number
}

const header = Buffer.alloc(headerLength, 7).fill(0, nonceOffset - 2)
/** No digest meets it. */
const impossible = Buffer.alloc(targetLength)
const SEARCHED = 65_536
const HASHED = 4_096

/**
 * The kernels of the miner, and beside them what hashes the same 180 bytes without knowing that all but the nonce stays:
 * node:crypto as most programs call it, and OpenSSL's own loop where its program is there.
 */
export function hashRates({ isQuick, leaveOut }: Pick<BenchmarkOptions, 'isQuick' | 'leaveOut'>): HashRate[] {
  const seconds = isQuick ? 0.2 : 1
  const kernel = (what: string, made: HashKernel, count: number): HashRate => {
    made.set(header, impossible)
    let next = 0
    const work = (): number => {
      if (made.scan(next, count) !== -1) throw new Error('A nonce meets what no digest meets.')
      next += count
      return count
    }
    // Until the engine has compiled it for good.
    processorRate(work, 0.2)
    return { what, measure: () => processorRate(work, seconds) }
  }
  const vector = createVectorSearch()
  if (!vector) leaveOut('the vector kernel; this machine has no vectors')
  return [
    ...(vector ? [kernel(kernels.vector, createSearchKernel(vector), SEARCHED)] : []),
    kernel(kernels.script, createSearchKernel(createScriptSearch()), SEARCHED),
    kernel(kernels.native, createNativeKernel(), HASHED),
    { what: references.createHash, measure: () => processorRate(hashSome, seconds) },
    ...opensslRates(isQuick, leaveOut),
  ]
}

export const kernels = {
  vector: 'vector kernel (WebAssembly)',
  script: 'script kernel (JavaScript)',
  native: 'plain kernel (crypto.hash)',
} as const
export const references = {
  createHash: 'reference: createHash of the same 180 bytes',
  openssl: 'reference: openssl speed, 180 bytes',
} as const

function hashSome(): number {
  for (let nonce = 0; nonce < HASHED; nonce++) {
    header.writeUIntBE(nonce, nonceOffset, 6)
    createHash('sha256').update(header).digest()
  }
  return HASHED
}

/** What OpenSSL's program counts of its own processor time; for long pieces it is how fast the processor can be. */
function opensslRates(isQuick: boolean, leaveOut: (what: string) => void): HashRate[] {
  const bytesEach = (length: number): number => {
    const flags = ['speed', '-mr', '-seconds', '1', '-bytes', String(length), '-evp', 'sha256']
    const output = execFileSync('openssl', flags, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
    const [, bytes = Number.NaN] = /^\+F:\d+:sha256:([\d.]+)$/im.exec(output) ?? []
    return Number(bytes)
  }
  try {
    execFileSync('openssl', ['version'], { stdio: 'ignore' })
  } catch {
    leaveOut('openssl speed; there is no openssl')
    return []
  }
  const same = { what: references.openssl, measure: () => bytesEach(headerLength) / headerLength }
  const limit = { what: 'OpenSSL, blocks of 64 bytes in pieces of 16 KiB', measure: () => bytesEach(16_384) / 64 }
  return isQuick ? [same] : [same, limit]
}

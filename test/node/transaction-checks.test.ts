import { createHash } from 'node:crypto'
import { ED25519_TORSION_SUBGROUP, ed25519 } from '@noble/curves/ed25519.js'
import t from 'tap'
import type { Signer } from '#emrchain/crypto/ed25519.js'
import { createSignaturePool } from '#emrchain/node/signature-pool.js'
import { createTransactionChecks } from '#emrchain/node/transaction-checks.js'
import { encodeCanonical } from '#emrchain/protocol/canonical.js'
import { decodeTransaction, type SignedTransaction } from '#emrchain/protocol/transaction.js'
import { createBlockMaker, rules, signerOf } from '../fixtures/block-maker.js'

const maker = createBlockMaker()
const good = (name: string): SignedTransaction => maker.record(name, { signer: signerOf(name) })
const changed = (name: string, change: object): SignedTransaction => {
  const { id: _id, bytes: _bytes, ...fields } = good(name)
  return decodeTransaction(encodeCanonical({ ...fields, ...change }))
}
const forged = (name: string): SignedTransaction => changed(name, { sig: good('another').sig })
const SMALL_ORDER = Uint8Array.from(Buffer.from(`01${'00'.repeat(31)}`, 'hex'))

/** Signs so that ZIP-215 takes it and fast libraries do not: its nonce has a part of small order. */
function looseSigner(name: string): Signer {
  const { scalar, pointBytes: publicKey } = ed25519.utils.getExtendedPublicKey(
    createHash('sha256').update(name).digest(),
  )
  const { BASE, Fn } = ed25519.Point
  return {
    publicKey,
    sign(message) {
      const nonce = BASE.multiply(7n)
        .add(ed25519.Point.fromHex(ED25519_TORSION_SUBGROUP[1] ?? ''))
        .toBytes()
      const digest = createHash('sha512').update(nonce).update(publicKey).update(message).digest()
      const challenge = Fn.create(BigInt(`0x${Buffer.from(digest.reverse()).toString('hex')}`))
      const s = Fn.add(7n, Fn.mul(challenge, scalar))
      return Uint8Array.from([...nonce, ...Buffer.from(s.toString(16).padStart(64, '0'), 'hex').reverse()])
    },
  }
}

/** The code of each refusal, `good` for what is taken. */
const outcomes = async (checks: readonly Promise<void>[]): Promise<unknown[]> =>
  (await Promise.allSettled(checks)).map((one) => (one.status === 'fulfilled' ? 'good' : one.reason.code))

t.test('each of many at one time is judged for itself', async (t) => {
  const pool = createSignaturePool({ threads: 2 })
  t.teardown(pool.close)
  const check = createTransactionChecks(rules, pool)
  const cases: [SignedTransaction, string][] = Array.from({ length: 40 }, (_, at) => {
    const name = `author ${at}`
    if (at % 10 === 3) return [forged(name), 'transaction_bad_signature']
    if (at % 10 === 6) return [changed(name, { from: SMALL_ORDER }), 'transaction_bad_key']
    if (at % 10 === 9) return [maker.record(name, { signer: looseSigner(name) }), 'good']
    return [good(name), 'good']
  })
  t.same(
    await outcomes(cases.map(([transaction]) => check(transaction))),
    cases.map(([, outcome]) => outcome),
  )
})

t.test('few are judged without other threads, unless one is not good beyond doubt', async (t) => {
  const pool = createSignaturePool({ threads: 1 })
  t.teardown(pool.close)
  const asked: number[] = []
  const check = createTransactionChecks(rules, {
    sift: async () => t.fail('too few to be handed over') as never,
    check(claims) {
      asked.push(claims.length)
      return pool.check(claims)
    },
  })
  t.same(await outcomes([check(good('one')), check(good('two'))]), ['good', 'good'])
  t.same(asked, [])
  const loose = maker.record('three', { signer: looseSigner('three') })
  t.same(await outcomes([check(good('one')), check(forged('two')), check(loose)]), [
    'good',
    'transaction_bad_signature',
    'good',
  ])
  t.same(asked, [1, 1])
})

t.test('what is forged holds up nobody, and is judged one at a time', async (t) => {
  const pool = createSignaturePool({ threads: 1 })
  t.teardown(pool.close)
  let letGo: () => void = () => undefined
  const held = new Promise<void>((resolve) => {
    letGo = resolve
  })
  let running = 0
  const check = createTransactionChecks(rules, {
    sift: pool.sift,
    async check(claims) {
      t.equal(++running, 1)
      await held
      running--
      return pool.check(claims)
    },
  })
  const wrong = outcomes(Array.from({ length: 8 }, (_, at) => check(forged(`thief ${at}`))))
  t.same(await outcomes(Array.from({ length: 30 }, (_, at) => check(good(`author ${at}`)))), Array(30).fill('good'))
  t.same(await outcomes([check(good('alone'))]), ['good'])
  t.equal(running, 1)
  letGo()
  t.same(await wrong, Array(8).fill('transaction_bad_signature'))
})

t.test('what is looked at when the node closes is not taken', async (t) => {
  const pool = createSignaturePool({ threads: 1 })
  const check = createTransactionChecks(rules, pool)
  const left = outcomes(Array.from({ length: 30 }, (_, at) => check(good(`author ${at}`))))
  await pool.close()
  t.same(await left, Array(30).fill('closing'))
})

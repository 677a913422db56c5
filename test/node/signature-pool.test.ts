import t from 'tap'
import { createSignaturePool } from '#emrchain/node/signature-pool.js'
import type { SignatureClaim } from '#emrchain/protocol/signatures-of-others.js'
import { transactionClaim } from '#emrchain/protocol/transaction.js'
import { createBlockMaker, signerOf } from '../fixtures/block-maker.js'

const maker = createBlockMaker()
const claimOf = (author: string): SignatureClaim => transactionClaim(maker.record('MRI', { signer: signerOf(author) }))

t.test('a key that is forgotten while others are judged is not taken for a bad one', async (t) => {
  const pool = createSignaturePool({ threads: 1, keys: 1 })
  t.teardown(pool.close)
  const known = claimOf('known')
  const fresh = Array.from({ length: 64 }, (_, at) => claimOf(`fresh ${at}`))
  t.same(await pool.check([known]), ['good'])
  const long = pool.check([known, ...fresh])
  // Two keys are one too many: the next call forgets both, while the long one still has keys to judge.
  await pool.check([claimOf('another')])
  await pool.check([claimOf('a third')])
  t.same(new Set(await long), new Set(['good']))
})

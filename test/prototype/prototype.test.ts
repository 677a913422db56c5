import { createHash } from 'node:crypto'
import t from 'tap'
import {
  forgeGenesis,
  forgeHistory,
  forgeLongerChain,
  forgeNewestBlock,
  forgeUser,
} from '#emrchain/prototype/prototype-forgeries.js'
import { prototypeNonce, puzzleHash, puzzleText } from '#emrchain/prototype/prototype-puzzle.js'
import { pythonJson } from '#emrchain/prototype/python-json.js'
import { readPrototypeChain } from '#emrchain/prototype/read-prototype-chain.js'
import { verifyPrototypeChain } from '#emrchain/prototype/verify-prototype-chain.js'

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

// Figure 4 of the paper, as printed.
const genesis = {
  index: 1,
  nonce: 1,
  previous_hash: '0',
  timestamp: '2020-09-02 23:31:41.258101',
  transactions: [] as object[],
}
const genesisHash = '03bee3d22f9c590f051f15f6efe33f282cfeac3fd90957779f04ddf29c2c879d'
const block2 = {
  index: 2,
  nonce: 533,
  previous_hash: genesisHash,
  timestamp: '2020-09-02 23:33:07.304063',
  transactions: [
    { EHR_name: 'MRI', ipfs_hash: 'QmbWxSqxhZms74885xceSaiHVvdjqiVWrATtYUrrUnVE1K', user_id: 'xxxxx' },
  ] as object[],
}
const figure4 = JSON.stringify({ chain: [genesis, block2], length: 2 })
const nonces = [1, 533, 45293, 21391, 8018, 48191, 19865, 95063, 15457, 15479, 7889, 72474]

const limitNames = [
  'newest_block',
  'any_genesis',
  'work_without_contents',
  'longest_not_most_work',
  'no_signatures',
  'claimed_length',
]

/** A chain of the prototype's rules, by this test's own means. */
const chainOf = (length: number): object[] => {
  const blocks: object[] = [genesis]
  for (let index = 2; index <= length; index++) {
    const previous_hash = sha256(pythonJson(blocks.at(-1)))
    blocks.push({ index, nonce: nonces[index - 1], previous_hash, timestamp: `${index}`, transactions: [] })
  }
  return blocks
}

t.test('pythonJson is the text of json.dumps(value, sort_keys=True)', async (t) => {
  const text =
    '{"index": 1, "nonce": 1, "previous_hash": "0", "timestamp": "2020-09-02 23:31:41.258101", "transactions": []}'
  t.equal(pythonJson(genesis), text)
  t.equal(text.length, 109)
  t.equal(sha256(text), genesisHash)

  const record = { user_id: 'p\u007f', ipfs_hash: 'Qm', EHR_name: 'Röntgen 😀' }
  t.equal(pythonJson(record), '{"EHR_name": "R\\u00f6ntgen \\ud83d\\ude00", "ipfs_hash": "Qm", "user_id": "p\\u007f"}')
  t.equal(sha256(pythonJson(record)), '9152608f1c98ff4b3e55529473e3377992fd327953fd20eb4b2281f9f06d28ea')

  t.equal(
    pythonJson({ '\u{1f600}': 1, '\uffee': 2, a: 3, B: 4 }),
    '{"B": 4, "a": 3, "\\uffee": 2, "\\ud83d\\ude00": 1}',
  )
  t.equal(pythonJson({ ab: 1, a: 2, '': 3 }), '{"": 3, "a": 2, "ab": 1}')
  t.equal(pythonJson('"\\/\b\f\n\r\t\u0000\u2028'), '"\\"\\\\/\\b\\f\\n\\r\\t\\u0000\\u2028"')
  t.equal(pythonJson('\ud800'), '"\\ud800"')
  t.equal(
    pythonJson([null, true, false, [], {}, -5, 12345678901234567890n]),
    '[null, true, false, [], {}, -5, 12345678901234567890]',
  )
  t.equal(pythonJson(JSON.parse('[-0, {"__proto__": 1}]')), '[0, {"__proto__": 1}]')

  let deep: unknown = 0
  for (let depth = 0; depth < 101; depth++) deep = [deep]
  for (const value of [1.5, 2 ** 53, Number.NaN, undefined, Symbol('x'), deep]) {
    t.throws(() => pythonJson(value), { code: 'prototype_malformed' })
  }
})

t.test('the puzzle gives the nonces of the paper', async (t) => {
  t.equal(puzzleText(533, 1), '284088')
  t.equal(puzzleHash(533, 1), '0000c00870f23a23ae80377298491b091db400d575be0efbde5b310f2f763ed1')
  t.equal(puzzleText(21391, 45293), '-1593880968')
  t.equal(puzzleHash(21391, 45293), '000012c643d9610a15e350cb92ec6386b2b15e9d4170a0f06a4fd8525e440207')
  t.equal(puzzleText(94_906_267, 94_906_266), String(94_906_267n ** 2n - 94_906_266n ** 2n))
  const found = [1]
  while (found.length < nonces.length) found.push(prototypeNonce(found.at(-1) ?? 0))
  t.same(found, nonces)
})

t.test('figure 4 of the paper is valid, hash by hash', async (t) => {
  const report = verifyPrototypeChain(figure4)
  t.ok(report.valid)
  t.equal(report.firstFault, null)
  t.equal(report.length, 2)
  t.equal(report.claimedLength, 2)
  t.same(report.blocks, [
    {
      position: 1,
      index: 1,
      nonce: 1,
      hash: genesisHash,
      previousHash: '0',
      previousHashOk: null,
      puzzleHash: null,
      puzzleOk: null,
    },
    {
      position: 2,
      index: 2,
      nonce: 533,
      hash: '06bde7e2c019084bbfcf9208757d0af75fa6bb94b3ab1070712cc2b3d4f495b9',
      previousHash: genesisHash,
      previousHashOk: true,
      puzzleHash: '0000c00870f23a23ae80377298491b091db400d575be0efbde5b310f2f763ed1',
      puzzleOk: true,
    },
  ])
  t.same(
    report.limits.map(({ name }) => name),
    limitNames,
    'each limit of the rules is shown',
  )
  t.match(report.limits.find(({ name }) => name === 'no_signatures')?.sentence, /"xxxxx"/)
  const bare = verifyPrototypeChain(JSON.stringify([genesis, block2]))
  t.same(bare.blocks, report.blocks)
  t.equal(bare.claimedLength, null)
})

t.test('the first fault is named, and what is before it still shows the limits', async (t) => {
  const chain = chainOf(12)
  t.ok(verifyPrototypeChain(JSON.stringify(chain)).valid)

  const altered = chain.map((block, at) => (at === 4 ? { ...block, timestamp: 'other' } : block))
  const report = verifyPrototypeChain(JSON.stringify({ chain: altered, length: 999 }))
  t.notOk(report.valid)
  t.match(report.firstFault, { position: 6, rule: 'previous_hash' })
  t.same(
    report.blocks.filter(({ previousHashOk }) => previousHashOk === false).map(({ position }) => position),
    [6],
  )
  t.equal(report.length, 12)
  t.equal(report.claimedLength, 999)
  t.same(
    report.limits.map(({ name }) => name),
    limitNames,
  )
  t.equal(report.limits.find(({ name }) => name === 'claimed_length')?.facts.blocks, 5)

  const guessed = verifyPrototypeChain(JSON.stringify([genesis, { ...block2, nonce: 534 }]))
  t.match(guessed.firstFault, { position: 2, rule: 'puzzle' })
  t.same(
    verifyPrototypeChain(JSON.stringify([genesis])).limits.map(({ name }) => name),
    limitNames,
    'one block is enough',
  )
})

t.test('the forgeries are real ones: judged from outside, they are valid and differ', async (t) => {
  const { blocks } = readPrototypeChain(JSON.stringify([...chainOf(12)]))
  const forgeries = { forgeGenesis, forgeHistory, forgeLongerChain, forgeNewestBlock, forgeUser }
  const original = JSON.stringify(blocks)
  for (const [name, forge] of Object.entries(forgeries)) {
    const forged = forge(blocks)
    const report = verifyPrototypeChain(JSON.stringify(forged))
    t.ok(report.valid, name)
    t.not(report.blocks.at(-1)?.hash, sha256(pythonJson(blocks.at(-1))), name)
    t.equal(forged.length, forge === forgeLongerChain ? 13 : 12)
    t.same(
      forged.slice(0, 12).map(({ nonce }) => nonce),
      nonces,
      `${name} needs no new nonce`,
    )
  }
  t.equal(JSON.stringify(blocks), original, 'the chain itself is left as it is')
})

t.test('what is not an export of the prototype is refused', async (t) => {
  const without = (key: string) =>
    JSON.stringify([Object.fromEntries(Object.entries(genesis).filter(([k]) => k !== key))])
  const refused = [
    '',
    '{"chain": [',
    '[]',
    '{}',
    '7',
    'null',
    '[1]',
    '[[]]',
    '{"chain": {}}',
    JSON.stringify({ chain: [genesis], length: '1' }),
    ...Object.keys(genesis).map(without),
    JSON.stringify([{ ...genesis, nonce: '1' }]),
    // JSON.parse reads all of these as integers, but Python prints them in another way.
    JSON.stringify([genesis]).replace('"nonce":1', '"nonce":1.0'),
    JSON.stringify([genesis]).replace('"nonce":1', '"nonce":1e0'),
    JSON.stringify([genesis]).replace('"nonce":1', '"nonce":1E2'),
    JSON.stringify([genesis]).replace('"nonce":1', '"nonce":9007199254740993'),
    JSON.stringify([{ ...genesis, transactions: [{ EHR_name: 1.5 }] }]),
    JSON.stringify([genesis]).replace('[]', '[123456789012345678901]'),
  ]
  for (const text of refused) t.throws(() => verifyPrototypeChain(text), { code: 'prototype_malformed' }, text)
  const dots = { ...genesis, transactions: [{ EHR_name: 'a.b 1e5 \\" 1.0', seen: true }] }
  t.ok(verifyPrototypeChain(JSON.stringify([dots])).valid, 'within texts anything may stand')
})

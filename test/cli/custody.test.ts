import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { PassThrough } from 'node:stream'
import t from 'tap'
import { isMeant } from '#emrchain/cli/ask-whether.js'
import { showSteps } from '#emrchain/cli/show-count.js'
import { parseChainId } from '#emrchain/protocol/cid.js'
import { errorCodeOf as codeOf, type Person, personOf, type Ran } from '../fixtures/run-cli.js'
import { agree, folderOf, networkFile, startNode, until } from '../fixtures/start-node.js'

/** What documents of commands hold, as far as it is read here beside comparisons. */
interface Said {
  readonly id: string
  readonly cid: string
  readonly access: string
  readonly entries: { kind: string; who: string; what: string; result: string; state: string }[]
}

t.setTimeout(600_000)

t.test('a record under consent, from its first byte to its end', async (t) => {
  const network = networkFile(t, { clearLabels: false })
  const a = await startNode(t, { network, eraseAfter: 2 })
  const b = await startNode(t, { network, eraseAfter: 2, peer: [a.url] })
  const settled = () => until([a, b], () => agree(a, b))
  const as = (name: string): Person<Said> => personOf(t, folderOf(t, name, 'wallet.age'), () => a.url)
  const [ann, grey, hospital] = [as('ann'), as('grey'), as('hospital')]
  const file = (name: string): string => folderOf(t, name)
  /** Has Ann's node mine, and the other take the block. */
  const mine = async (): Promise<void> => {
    await ann.read('mine')
    await settled()
  }
  await Promise.all([ann, grey, hospital].map((person) => person.read('wallet', 'init')))
  const nodes: string[] = []
  for (const { options } of [a, b]) {
    nodes.push((await hospital.read('identity', 'register', '--role', 'node', '--data', options.data)).id)
  }
  const { id: hospitalId } = await hospital.read('identity', 'register', '--role', 'organisation')
  const { id: greyId } = await grey.read('identity', 'register', '--role', 'doctor')
  await mine()
  // The custodians are asked in the order of the bytes of their ids, which is not that of the text.
  const [first = '', second = ''] = nodes.toSorted((x, y) =>
    Buffer.compare(parseChainId(x).bytes, parseChainId(y).bytes),
  )
  const wrong = await ann.run('identity', 'register', '--role', 'patient', '--custodian', hospitalId, '--mine')
  t.match(wrong, { code: 5, stdout: /custodian/ }, 'no node')
  await settled()
  const alone = await ann.run('identity', 'register', '--role', 'patient', '--custodian', first)
  t.match(alone, { code: 0, stderr: /If this one custodian is lost/ }, 'what was refused may be tried again')
  const { id: annId } = JSON.parse(alone.stdout)
  await mine()
  t.match(await ann.read('identity', 'custodians', first, second), { result: { code: 0 } })
  await mine()
  t.match(await ann.read('identity', 'show'), { custodians: [first, second] })
  for (const [name, id] of [
    ['Dr. Grey', greyId],
    ['St. Mary', hospitalId],
    ['node 1', first],
  ] as const)
    await ann.read('contacts', 'add', name, id)

  writeFileSync(file('blood.txt'), 'haemoglobin 14.1\n')
  const label = ['--name', 'Blood count', '--class', 'lab']
  t.equal(codeOf(await ann.run('record', file('blood.txt'), '--name', 'x', '--class', 'blood')), 'usage')
  t.equal(codeOf(await ann.run('record', file('nothing.txt'), ...label)), 'input_unreadable')
  t.equal(codeOf(await ann.run('record', file('blood.txt'), ...label, '--patient', 'Anne')), 'contact_unknown')
  const recorded = await ann.read('record', file('blood.txt'), ...label)
  t.match(recorded, { state: 'pending', result: { code: 0 }, size: 17, custodians: 2, failures: [] })
  await mine()
  const { id } = recorded

  const read = (person: Person<Said>, output: string, ...flags: string[]): Promise<Ran> =>
    person.run('read', id, '-o', file(output), ...flags)
  t.equal((await read(ann, 'own.txt')).code, 0)
  t.same(readFileSync(file('own.txt')), readFileSync(file('blood.txt')))
  t.equal(codeOf(await read(ann, 'own.txt')), 'output_exists')
  t.match(await read(grey, 'grey.txt'), { code: 5, stderr: /consent_missing/ })
  t.notOk(existsSync(file('grey.txt')))

  // One use; the access is on the chain before anything is given out.
  await ann.read('grant', 'Dr. Grey', '--class', 'lab', '--uses', '1')
  await mine()
  const seen = JSON.parse((await read(grey, 'grey.txt', '--mine')).stdout)
  await settled()
  t.same(readFileSync(file('grey.txt')), readFileSync(file('blood.txt')))
  t.match(await read(grey, 'again.txt'), { code: 5, stderr: /consent_missing/ })

  // A grant to the hospital, which hands the record to one of its people.
  await hospital.read('certify', greyId)
  await ann.read('grant', 'St. Mary', '--record', id)
  await mine()
  t.match(await read(grey, 'again.txt'), { code: 6, stderr: /it has to share the record/ })
  await hospital.read('share', id, '--with', greyId, '-o', file('grey.json'))
  t.equal((await read(grey, 'again.txt', '--share', file('grey.json'))).code, 0)
  t.same(readFileSync(file('again.txt')), readFileSync(file('blood.txt')))

  const audit = (await ann.read('audit')).entries
  // A release may be a second later than its access, and then stands before it.
  const last = audit.find(({ kind, state }) => kind === 'access' && state === 'pending')
  t.match(last, { kind: 'access', who: greyId, state: 'pending', what: 'READ for TREAT' })
  const releases = audit.filter(({ kind }) => kind === 'release')
  t.equal(releases.length, 3, 'to Ann, to Dr. Grey, and once more')
  t.match(
    releases.find(({ what }) => what?.includes(greyId)),
    { who: first, what: new RegExp(`^gave ${greyId} `), record: id },
  )
  t.ok(audit.some(({ kind, state }) => kind === 'access' && state === 'confirmed'))
  const refusal = { kind: 'access', who: greyId, result: 'no_grant', state: 'confirmed', record: id }
  t.match(
    audit.find(({ result }) => result !== 'accepted'),
    refusal,
    'who tried in vain is there too',
  )
  t.match(await ann.read('records'), { records: [{ id, class: 'lab', author: annId, state: 'current' }] })
  t.match((await grey.show('records', '--patient', annId)).stdout, /^bafyrei\w+ {2}lab, by bafyrei\w+, /)
  t.type(seen.access, 'string')
  const shown = await ann.show('audit')
  t.match(shown.stdout, /node 1: gave Dr\. Grey the share of the key/)
  t.match((await ann.show('audit', '--csv')).stdout, /^time,kind,who,what,record,grant,result,state,transaction\r\n/)

  t.match((await ann.show('erase', id, '--status')).stdout, /^Nothing erases /)
  t.match(await ann.read('erase', id, '--ground', 'consent_withdrawn'), { result: { code: 0 } })
  t.match((await ann.show('erase', id, '--status')).stdout, /waits for a block[\s\S]+node 1: has not confirmed/)
  await mine()
  const receiptsWait = until([a, b], () => [...a.node.pendingTransactions()].length === 2)
  await mine()
  await receiptsWait
  await mine()
  const done = (await ann.show('erase', id, '--status')).stdout
  t.match(done, /node 1: destroyed share, label/)
  t.match(done, /destroyed share, label, ciphertext/, 'who had the file')
  t.notMatch(done, /has not confirmed/)
  t.equal(codeOf(await read(ann, 'late.txt')), 'record_erased')

  await b.close()
  const away = await ann.run('record', file('blood.txt'), ...label)
  t.match(away, { code: 5, stdout: '' })
  t.match(away.stderr, new RegExp(`receipts_too_few\\) ${nodes[1]}: No node answers`), 'which one is away')
})

t.test('whoever erases at a terminal is asked whether it is meant', async (t) => {
  const ask = async (answer: string | null): Promise<[boolean, string]> => {
    const input = Object.assign(new PassThrough(), { isTTY: true })
    const output = Object.assign(new PassThrough(), { isTTY: true })
    if (answer === null) input.end()
    else input.write(`${answer}\n`)
    const meant = await isMeant('This destroys it.', new AbortController().signal, { input, output })
    return [meant, String(output.read())]
  }
  t.match(await ask('yes'), [true, /This destroys it\.\r?\nIs it meant\? \(yes\/no\) /])
  t.match(await ask('Y'), [true])
  for (const answer of ['no', '', 'yesterday', null]) t.match(await ask(answer), [false])
  const streams = { input: new PassThrough(), output: new PassThrough() }
  t.equal(await isMeant('', new AbortController().signal, streams), true, 'a script says what it means')
})

t.test('a deed of many transactions is counted at a terminal, when it takes longer than a second', async (t) => {
  const told: string[] = []
  let time = 0
  const stepsOn = (isTTY: boolean) =>
    showSteps({ now: () => time, stream: { isTTY, write: (text: string) => told.push(text) } })
  const [seen, unseen] = [stepsOn(true), stepsOn(false)]
  seen.onSent(1, 4)
  time = 1_000
  for (const { onSent, stop } of [seen, unseen]) {
    onSent(2, 4)
    stop()
  }
  stepsOn(true).stop()
  t.same(told, ['\r\x1b[K2 of 4 transactions', '\r\x1b[K'])
})

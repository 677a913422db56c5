import { readFileSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { nextClassKeys } from '#emrchain/client/consent/consent-keys.js'
import { putConsentKeys } from '#emrchain/client/consent/wallet-keys.js'
import { openWallet, sealWallet } from '#emrchain/client/wallet.js'
import { recordClasses } from '#emrchain/protocol/consent-vocabulary.js'
import { errorCodeOf as codeOf, type Person, personOf } from '../fixtures/run-cli.js'
import { folderOf, networkFile, startNode } from '../fixtures/start-node.js'

/** What documents of commands hold, as far as it is read here beside comparisons. */
interface Said {
  readonly id: string
  readonly requests: { id: string }[]
  readonly grants: { id: string; state: string; deny: boolean }[]
  readonly classKeys: { class: number; epoch: number }[]
  readonly entries: { kind: string; who: string; what: string; result: string }[]
}

t.setTimeout(600_000)

t.test('a doctor asks, the patient grants, looks and revokes', async (t) => {
  const { url } = await startNode(t, { network: networkFile(t, { clearLabels: false }) })
  const walletOf = (name: string): string => folderOf(t, name, 'wallet.age')
  const as = (name: string): Person<Said> => personOf(t, walletOf(name), () => url)
  const [ann, grey] = [as('ann'), as('grey')]
  for (const person of [ann, grey]) await person.read('wallet', 'init')
  const { id: annId } = await ann.read('identity', 'register', '--role', 'patient')
  const { id: greyId } = await grey.read('identity', 'register', '--role', 'doctor', '--mine')

  await grey.read('contacts', 'add', 'Ann', annId)
  t.equal(codeOf(await grey.run('request', 'Ann')), 'usage', 'records or classes')
  t.equal(codeOf(await grey.run('request', 'Ann', '--class', 'blood')), 'usage')
  t.equal(codeOf(await grey.run('request', 'Anne', '--class', 'lab')), 'contact_unknown')
  await grey.read('request', 'Ann', '--class', 'lab,imaging', '--until', '30d', '--mine')

  await ann.read('contacts', 'add', 'Dr. Grey', greyId)
  t.equal(codeOf(await ann.run('contacts', 'add', 'Dr. Grey', annId)), 'contact_exists')
  const [asked] = (await ann.read('requests')).requests
  t.match(asked, { author: greyId, grantee: greyId, text: /^LIST, READ, DOWNLOAD of lab, imaging for TREAT, until / })
  t.match(await ann.run('grant', annId, '--request', asked?.id ?? '', '--json'), {
    code: 2,
    stderr: /asks for a grant to Dr\. Grey/,
  })
  const grant = ['grant', 'Dr. Grey', '--request', asked?.id ?? '', '--mine']
  t.match(await ann.read(...grant), {
    result: { code: 0 },
    text: /^LIST, READ, DOWNLOAD of lab, imaging for TREAT, until /,
  })
  t.same((await ann.read('requests')).requests, [], 'answered')
  t.equal(codeOf(await ann.run('grant', 'everybody', '--class', 'lab')), 'usage')
  t.match(await ann.read('grant', 'everybody', '--deny', '--class', 'genetic'), {
    text: /of genetic for TREAT, ETREAT.+without end$/,
  })
  t.equal(codeOf(await grey.run('grant', 'Ann', '--class', 'lab')), 'secret_missing', 'no patient')
  const forAnn = ['grant', 'Ann', '--class', 'lab', '--on-behalf-of', 'Ann']
  t.equal(codeOf(await grey.run(...forAnn)), 'consent_missing', 'and no delegate')
  t.equal(codeOf(await grey.run(...forAnn, '--deny')), 'usage')
  await ann.read('mine')
  t.match(await ann.read('grants'), { grants: [{ deny: true }, { deny: false, state: 'in force', grantee: greyId }] })

  // As a run leaves the wallet that ends before it could send: the next key of a class is there, the chain has the old one.
  const wallet = await openWallet(readFileSync(walletOf('ann')), 'x')
  const [keys] = wallet.consent ?? []
  if (!keys) throw new Error('The wallet has no keys.')
  const ahead = putConsentKeys(wallet, nextClassKeys(keys, recordClasses.lab))
  writeFileSync(walletOf('ann'), await sealWallet(ahead, 'x', { workFactor: 10 }))
  t.equal(codeOf(await ann.run('identity', 'rotate')), 'consent_unfit', 'first things first')
  t.match(await ann.read('revoke', '--to', 'Dr. Grey', '--mine'), {
    result: { code: 0 },
    moved: [{ result: { code: 0 } }],
  })
  t.match(await ann.read('grants'), { grants: [{ deny: true }] })
  t.match(await ann.read('grants', '--all'), { grants: [{ deny: true }, { state: 'revoked' }] })
  const epochs = (await ann.read('identity', 'show')).classKeys.map(({ class: one, epoch }) => [one, epoch])
  t.same(
    epochs.filter(([, epoch]) => epoch === 2),
    [
      [2, 2],
      [4, 2],
    ],
    'what is written from now on has other keys',
  )

  const audit = await ann.show('audit')
  t.match(audit.stdout, /you: ended all grants to Dr. Grey\n/)
  t.match(audit.stdout, /Dr. Grey: asked for: LIST/)
  const csv = (await ann.show('audit', '--csv')).stdout.split('\r\n')
  t.equal(csv[0], 'time,kind,who,what,record,grant,result,state,transaction')
  t.equal(csv.length, 1 + 5 + 1, 'a request, a grant, a deny, a revocation, new class keys')

  // A grant that is over by itself leaves its keys behind, until she moves them on.
  const once = ['--from', '2019-01-01', '--until', '2020-01-01', '--mine']
  await ann.read('grant', 'Dr. Grey', '--class', 'lab', ...once)
  t.match(await ann.read('grants'), { grants: [{ deny: true }], classesToMove: ['lab'] })
  t.match((await ann.show('grants')).stdout, /keys of lab by a grant that is over.+\n.+revoke --ended/)
  t.equal(codeOf(await ann.run('revoke', '--ended', '--all')), 'usage')
  t.match(await ann.read('revoke', '--ended', '--mine'), { moved: [{ state: 'confirmed', result: { code: 0 } }] })
  t.match(await ann.read('grants'), { classesToMove: [] })
  t.match((await ann.show('revoke', '--ended')).stdout, /^No class has to move/)

  // A request that she does not want to see again.
  const { id: unwanted } = await grey.read('request', 'Ann', '--class', 'genetic', '--until', '30d', '--mine')
  t.equal(codeOf(await ann.run('requests', '--decline', annId)), 'usage')
  t.same((await ann.read('requests', '--decline', unwanted)).requests, [])
  t.match((await ann.read('requests', '--all')).requests, [{ id: unwanted, declined: true }, { declined: false }])

  // Who got a grant gives it up.
  const { id: note } = await ann.read('grant', 'Dr. Grey', '--class', 'note', '--mine')
  t.equal(codeOf(await grey.run('revoke', '--all', '--on-behalf-of', 'Ann')), 'consent_missing', 'he gave none')
  t.match(await grey.read('revoke', note, '--on-behalf-of', 'Ann', '--mine'), { id: /^bafy/, result: { code: 0 } })
  t.match(await ann.read('grants'), { grants: [{ deny: true }], classesToMove: ['note'] })

  // A delegate gives on what it has until it ends, and no longer; so does one who does not say until when.
  const gus = as('gus')
  await gus.read('wallet', 'init')
  const { id: gusId } = await gus.read('identity', 'register', '--role', 'delegate', '--mine')
  await gus.read('contacts', 'add', 'Ann', annId)
  const toGus = ['grant', gusId, '--class', 'lab', '--may', 'LIST,READ,DOWNLOAD,REGRANT']
  await ann.read(...toGus, '--mine')
  const onBehalf = ['grant', greyId, '--class', 'lab', '--on-behalf-of', 'Ann']
  t.match(await gus.read(...onBehalf, '--mine'), { result: { code: 0 } })
  t.equal(codeOf(await gus.run(...onBehalf, '--until', '91d')), 'consent_missing', 'what is said is not cut')

  // Who ends one of two grants is told of the other.
  const { id: second } = await ann.read('grant', 'Dr. Grey', '--class', 'imaging', '--mine')
  const ended = await ann.show('revoke', second, '--mine')
  t.match(ended.stdout, /Whoever had it has 1 other grant in force: .*revoke --to/)
  t.match(await ann.read('revoke', '--to', 'Dr. Grey', '--mine'), { result: { code: 0 }, staying: 0 })
})

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
  const [asked] = (await ann.read('requests')).requests
  t.match(asked, { author: greyId, grantee: greyId, text: /^LIST, READ, DOWNLOAD of lab, imaging for TREAT, until / })
  const grant = [
    'grant',
    'Dr. Grey',
    '--class',
    'lab,imaging',
    '--until',
    '30d',
    '--request',
    asked?.id ?? '',
    '--mine',
  ]
  t.match(await ann.read(...grant), { result: { code: 0 } })
  t.same((await ann.read('requests')).requests, [], 'answered')
  t.equal(codeOf(await ann.run('grant', 'everybody', '--class', 'lab')), 'usage')
  await ann.read('grant', 'everybody', '--deny', '--class', 'genetic', '--until', 'ever')
  t.equal(codeOf(await grey.run('grant', 'Ann', '--class', 'lab')), 'secret_missing', 'no patient')
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
})

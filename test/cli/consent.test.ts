import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { folderOf, networkFile, startNode } from '../fixtures/start-node.js'

const bin = fileURLToPath(new URL('../../bin/emrchain.js', import.meta.url))

interface Ran {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}
const codeOf = ({ stderr }: Ran): string => /"code": ?"([a-z_]+)"/.exec(stderr)?.[1] ?? stderr

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
  const as = (name: string) => {
    const env = { EMRCHAIN_PASSPHRASE: 'x', EMRCHAIN_WALLET: folderOf(t, name, 'wallet.age'), EMRCHAIN_NODE: url }
    const run = (...words: string[]): Promise<Ran> =>
      new Promise((resolve) => {
        execFile(process.execPath, [bin, ...words], { env }, (error, stdout, stderr) => {
          resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr })
        })
      })
    return {
      run,
      /** The document of a run that must succeed. */
      async read(...words: string[]): Promise<Said> {
        const { code, stdout, stderr } = await run(...words, '--json')
        t.equal(code, 0, `${name}: ${words.join(' ')} ${stderr}`)
        return JSON.parse(stdout)
      },
    }
  }
  const [ann, grey] = [as('ann'), as('grey')]
  for (const person of [ann, grey]) await person.read('wallet', 'init')
  const { id: annId } = await ann.read('identity', 'register', '--role', 'patient')
  const { id: greyId } = await grey.read('identity', 'register', '--role', 'doctor', '--mine')

  await grey.read('contacts', 'add', 'Ann', annId)
  t.equal(codeOf(await grey.run('request', 'Ann', '--json')), 'usage', 'records or classes')
  t.equal(codeOf(await grey.run('request', 'Ann', '--class', 'blood', '--json')), 'usage')
  t.equal(codeOf(await grey.run('request', 'Anne', '--class', 'lab', '--json')), 'contact_unknown')
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
  t.equal(codeOf(await ann.run('grant', 'everybody', '--class', 'lab', '--json')), 'usage')
  await ann.read('grant', 'everybody', '--deny', '--class', 'genetic', '--until', 'ever')
  t.equal(codeOf(await grey.run('grant', 'Ann', '--class', 'lab', '--json')), 'secret_missing', 'no patient')
  await ann.read('mine')
  t.match(await ann.read('grants'), { grants: [{ deny: true }, { deny: false, state: 'in force', grantee: greyId }] })

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

  const audit = await ann.run('audit')
  t.match(audit.stdout, /you: ended all grants to Dr. Grey\n/)
  t.match(audit.stdout, /Dr. Grey: asked for: LIST/)
  const csv = (await ann.run('audit', '--csv')).stdout.split('\r\n')
  t.equal(csv[0], 'time,kind,who,what,record,grant,result,state,transaction')
  t.equal(csv.length, 1 + 5 + 1, 'a request, a grant, a deny, a revocation, new class keys')
})

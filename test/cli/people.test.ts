import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { folderOf, startNode } from '../fixtures/start-node.js'

const bin = fileURLToPath(new URL('../../bin/emrchain.js', import.meta.url))

interface Ran {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}
const runAs = (env: Readonly<Record<string, string>>, ...words: string[]): Promise<Ran> =>
  new Promise((resolve) => {
    execFile(process.execPath, [bin, ...words, '--json'], { env }, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr })
    })
  })
const codeOf = ({ stderr }: Ran): string => /"code": ?"([a-z_]+)"/.exec(stderr)?.[1] ?? stderr

t.test('people are registered, certified, change their keys, and are certified no more', async (t) => {
  const [data, network] = [folderOf(t, 'first'), folderOf(t, 'clinic.json')]
  let node = ''
  const as = (name: string) => {
    const env = (): Record<string, string> => ({
      EMRCHAIN_PASSPHRASE: 'x',
      EMRCHAIN_WALLET: folderOf(t, name, 'wallet.age'),
      EMRCHAIN_NODE: node,
    })
    return {
      run: (...words: string[]) => runAs(env(), ...words),
      /** The document of a run that must succeed. */
      async read(...words: string[]): Promise<Said> {
        const { code, stdout, stderr } = await runAs(env(), ...words)
        t.equal(code, 0, `${name}: ${words.join(' ')} ${stderr}`)
        return JSON.parse(stdout)
      },
    }
  }
  const [admin, hospital, doctor] = [as('admin'), as('hospital'), as('doctor')]
  const { publicKey } = await admin.read('wallet', 'init')
  await admin.read('found', 'clinic', '--data', data, '-o', network, '--administrator', publicKey)
  node = (await startNode(t, { network, data })).url

  await admin.read('identity', 'register', '--role', 'administrator', '--mine')
  t.match(await admin.read('identity', 'show'), { administrator: true, key: publicKey })
  for (const person of [hospital, doctor]) await person.read('wallet', 'init')
  t.equal(codeOf(await doctor.run('identity', 'show')), 'identity_missing')
  t.equal(codeOf(await doctor.run('identity', 'register', '--role', 'surgeon')), 'usage')
  const { id: hospitalId } = await hospital.read('identity', 'register', '--role', 'organisation', '--mine')
  t.match(await doctor.read('identity', 'register', '--role', 'doctor', '--mine'), { result: { code: 0 } })
  const { id } = await doctor.read('identity', 'show')
  t.equal(codeOf(await doctor.run('identity', 'register', '--role', 'doctor')), 'identity_exists')
  await hospital.read('identity', 'register', '--role', 'node', '--data', data, '--mine')

  t.equal((await doctor.run('certify', id, '--mine')).code, 5, 'not by oneself')
  await admin.read('contacts', 'add', 'St. Mary', hospitalId)
  t.equal(codeOf(await admin.run('certify', 'St. Jude')), 'contact_unknown')
  t.match(await admin.read('certify', 'St. Mary', '--mine'), { role: 'organisation', result: { code: 0 } })
  t.equal(codeOf(await hospital.run('certify', id, '--until', 'soon')), 'usage')
  t.match(await hospital.read('certify', id, '--until', '90d', '--mine'), { role: 'doctor', result: { code: 0 } })
  const before = await doctor.read('identity', 'show')
  t.match(before, { certificates: [{ revoked: false }] })

  // Until a block has them, the old keys count; the wallet finds out by itself.
  t.match(await doctor.read('identity', 'rotate'), { state: 'pending', identity: id })
  t.equal((await doctor.read('identity', 'show')).key, before.key)
  await doctor.read('mine')
  const after = await doctor.read('identity', 'show')
  t.not(after.key, before.key)

  const [certificate] = before.certificates
  const end = ['decertify', certificate?.id ?? '', '--reason', 'left', '--mine']
  t.match(await hospital.read(...end), { result: { code: 0 } })
  t.match(await doctor.read('identity', 'show'), { certificates: [{ revoked: true }] })
})

/** What documents of commands hold, as far as it is read here beside comparisons. */
interface Said {
  readonly id: string
  readonly publicKey: string
  readonly key: string
  readonly certificates: { id: string }[]
}

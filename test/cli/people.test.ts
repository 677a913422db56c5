import t from 'tap'
import { errorCodeOf as codeOf, type Person, personOf } from '../fixtures/run-cli.js'
import { folderOf, startNode } from '../fixtures/start-node.js'

t.test('people are registered, certified, change their keys, and are certified no more', async (t) => {
  const [data, network] = [folderOf(t, 'first'), folderOf(t, 'clinic.json')]
  let node = ''
  const as = (name: string): Person<Said> => personOf(t, folderOf(t, name, 'wallet.age'), () => node)
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

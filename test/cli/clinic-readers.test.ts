import t from 'tap'
import { errorCodeOf as codeOf, type Person, personOf } from '../fixtures/run-cli.js'
import { folderOf, startNode } from '../fixtures/start-node.js'

/** What documents of commands hold, as far as it is read here beside comparisons. */
interface Said {
  readonly id: string
  readonly key: string
  readonly publicKey: string
  readonly certificates: { id: string }[]
}

/** Behind a proxy no caller is the operator without the token, as if each were on a machine of its own. */
t.test('commands read with the key of the wallet, where the network asks for it', async (t) => {
  const [data, network] = [folderOf(t, 'first'), folderOf(t, 'clinic.json')]
  const file = folderOf(t, 'recovery.age')
  let url = ''
  const as = (name: string): Person<Said> => personOf(t, folderOf(t, name, 'wallet.age'), () => url)
  const [admin, hospital, doctor, nobody] = [as('admin'), as('hospital'), as('doctor'), as('nobody')]
  const { publicKey } = await admin.read('wallet', 'init')
  await admin.read('found', 'clinic', '--data', data, '-o', network, '--administrator', publicKey)
  const first = await startNode(t, { network, data, behindProxy: true })
  url = first.url
  const mine = () => first.node.mine(new AbortController().signal)
  const accepted = { result: { code: 0 } }

  t.match(await admin.read('identity', 'register', '--role', 'administrator'), accepted)
  for (const person of [hospital, doctor]) await person.read('wallet', 'init')
  const { id: hospitalId } = await hospital.read('identity', 'register', '--role', 'organisation')
  const { id, key: doctorKey } = await doctor.read('identity', 'register', '--role', 'doctor', '--recovery', file)
  t.equal(codeOf(await doctor.run('identity', 'register', '--role', 'doctor')), 'identity_exists')
  await mine()
  t.match(await doctor.read('identity', 'show'), { id, certificates: [] }, 'what is their own')
  const refused = await doctor.run('chain')
  t.match(refused, { code: 5, stderr: /emrchain certify/ })
  t.equal(codeOf(refused), 'reader_not_certified')
  const unsigned = await nobody.run('chain')
  t.match([unsigned.code, codeOf(unsigned)], [5, 'reader_unsigned'], 'without a wallet')
  t.equal((await nobody.run('status')).code, 0)

  t.match(await admin.read('certify', hospitalId), accepted)
  await mine()
  t.match(await hospital.read('certify', id), accepted)
  const second = await startNode(t, { network })
  const node = ['identity', 'register', '--role', 'node', '--data', second.options.data]
  t.match(await doctor.read(...node), accepted, 'a node reads what is its own with its key')
  await mine()
  t.match(await doctor.read('chain'), { length: 4 })

  // A wallet that is lost: the old key, which the recovery file has, reads until the new one counts.
  const again = as('again')
  await again.read('wallet', 'init')
  t.match(await again.read('identity', 'recover', '--recovery', file), { ...accepted, identity: id, state: 'pending' })
  await mine()
  t.match(await again.read('chain'), { length: 5 })
  t.equal(codeOf(await doctor.run('chain')), 'reader_not_certified')

  // The wallet has the new keys from the moment on that the chain has them.
  await again.read('identity', 'rotate')
  t.match(await again.read('chain'), { length: 5 })
  await mine()
  const { key, certificates } = await again.read('identity', 'show')
  t.not(key, doctorKey)
  t.match(await again.read('chain'), { length: 6 })

  t.match(await hospital.read('decertify', certificates[0]?.id ?? ''), accepted)
  await mine()
  t.equal(codeOf(await again.run('chain')), 'reader_not_certified')
  t.match(await again.read('identity', 'show'), { certificates: [{ revoked: true }] })
})

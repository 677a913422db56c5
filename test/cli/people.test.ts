import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { errorCodeOf as codeOf, type Person, personOf } from '../fixtures/run-cli.js'
import { folderOf, networkFile, startNode } from '../fixtures/start-node.js'

t.test('people are registered, certified, change their keys, and are certified no more', async (t) => {
  const [data, network] = [folderOf(t, 'first'), folderOf(t, 'clinic.json')]
  let node = ''
  const as = (name: string): Person<Said> => personOf(t, folderOf(t, name, 'wallet.age'), () => node)
  const [admin, hospital, doctor, ann] = [as('admin'), as('hospital'), as('doctor'), as('ann')]
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
  const { id: nodeId } = await hospital.read('identity', 'register', '--role', 'node', '--data', data, '--mine')

  t.equal((await doctor.run('certify', id, '--mine')).code, 5, 'not by oneself')
  await admin.read('contacts', 'add', 'St. Mary', hospitalId)
  t.equal(codeOf(await admin.run('certify', 'St. Jude')), 'contact_unknown')
  t.match(await admin.read('certify', 'St. Mary', '--mine'), { role: 'organisation', result: { code: 0 } })
  t.equal(codeOf(await hospital.run('certify', id, '--until', 'soon')), 'usage')
  t.match(await hospital.read('certify', id, '--until', '90d', '--mine'), { role: 'doctor', result: { code: 0 } })
  const before = await doctor.read('identity', 'show')
  t.match(before, { certificates: [{ revoked: false }] })

  // A patient names no node that is not certified to keep shares.
  await ann.read('wallet', 'init')
  const { id: annId } = await ann.read('identity', 'register', '--role', 'patient', '--mine')
  await hospital.read('certify', annId)
  await hospital.read('certify', nodeId, '--can', 'mine', '--mine')
  const choose = ['identity', 'custodians', nodeId, '--mine']
  t.match(await ann.run(...choose), { code: 5, stderr: /custodian_not_certified/ })
  await hospital.read('certify', nodeId, '--can', 'mine,custody', '--mine')
  t.match(await ann.read(...choose), { result: { code: 0 } })

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

t.test('a lost wallet, and the identity comes back by the recovery key', async (t) => {
  const { url } = await startNode(t, { network: networkFile(t, { clearLabels: false }) })
  const as = (name: string): Person<Said> => personOf(t, folderOf(t, name, 'wallet.age'), () => url)
  const [ann, again] = [as('ann'), as('again')]
  const [file, newer] = [folderOf(t, 'recovery.age'), folderOf(t, 'newer.age')]
  for (const person of [ann, again]) await person.read('wallet', 'init')
  t.equal(codeOf(await ann.run('identity', 'register', '--role', 'node', '--data', '.', '--recovery', file)), 'usage')
  const { id } = await ann.read('identity', 'register', '--role', 'patient', '--recovery', file, '--mine')
  t.equal(statSync(file).mode & 0o777, 0o600)
  t.match(readFileSync(file, 'latin1'), /^age-encryption\.org\/v1\n-> scrypt /)
  const before = await ann.read('identity', 'show')
  t.match(before, { recovery: /^[0-9a-f]{64}$/ })
  t.equal(codeOf(await ann.run('identity', 'rotate', '--recovery', file)), 'output_exists', 'it is left as it is')

  t.equal(codeOf(await again.run('identity', 'recover', '--recovery', newer)), 'input_unreadable')
  writeFileSync(newer, 'no such thing')
  t.equal(codeOf(await again.run('identity', 'recover', '--recovery', newer)), 'recovery_malformed')
  rmSync(newer)
  t.match(await again.read('identity', 'recover', '--recovery', file, '--mine'), {
    identity: id,
    lost: [],
    result: { code: 0 },
  })
  const after = await again.read('identity', 'show')
  t.match(after, { id, recovery: before.recovery })
  t.not(after.key, before.key)
  t.equal(codeOf(await ann.run('identity', 'rotate')), 'secret_missing', 'the old key is worth nothing')

  const rotated = await again.show('identity', 'rotate', '--recovery', newer, '--mine')
  t.match(rotated, { code: 0, stderr: /Keep it offline/ })
  t.not((await again.read('identity', 'show')).recovery, before.recovery)
  t.equal(codeOf(await ann.run('identity', 'recover', '--recovery', file)), 'consent_unfit', 'nor is the old file')
})

/** What documents of commands hold, as far as it is read here beside comparisons. */
interface Said {
  readonly id: string
  readonly publicKey: string
  readonly key: string
  readonly recovery: string
  readonly certificates: { id: string }[]
}

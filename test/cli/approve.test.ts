import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { decodeDraft, encodeDraft } from '#emrchain/client/consent/draft.js'
import { errorCodeOf as codeOf, type Person, personOf } from '../fixtures/run-cli.js'
import { folderOf, networkFile, startNode } from '../fixtures/start-node.js'

/** What documents of commands hold, as far as it is read here beside comparisons. */
interface Said {
  readonly id: string
  readonly publicKey: string
  readonly certificates: { id: string }[]
}

t.test('two administrators certify an organisation together, and take it back', async (t) => {
  const [data, network, draft, end] = ['first', 'clinic.json', 'mary.draft', 'end.draft'].map((name) =>
    folderOf(t, name),
  ) as [string, string, string, string]
  let url = ''
  const as = (name: string): Person<Said> => personOf(t, folderOf(t, name, 'wallet.age'), () => url)
  const [ann, ben, hospital] = [as('ann'), as('ben'), as('hospital')]
  const keys: string[] = []
  for (const person of [ann, ben, hospital]) keys.push((await person.read('wallet', 'init')).publicKey)
  const named = keys.slice(0, 2).flatMap((key) => ['--administrator', key])
  await ann.read('found', 'clinic', '--data', data, '-o', network, ...named, '--threshold', '2')
  url = (await startNode(t, { network, data })).url
  await ann.read('identity', 'register', '--role', 'administrator')
  const { id: benId } = await ben.read('identity', 'register', '--role', 'administrator')
  const { id } = await hospital.read('identity', 'register', '--role', 'organisation', '--mine')

  const alone = await ann.run('certify', id, '--mine')
  t.match([alone.code, JSON.parse(alone.stdout).result.name], [5, 'threshold_missed'])
  t.equal(codeOf(await ann.run('certify', id, '--draft', draft, '--mine')), 'usage')
  await ann.read('certify', id, '--until', '2030-01-01', '--draft', draft)
  t.equal(codeOf(await ann.run('certify', id, '--draft', draft)), 'output_exists')

  // The second administrator looks before anything is signed.
  await ben.read('contacts', 'add', 'St. Mary', id)
  const shown = await ben.show('approve', draft)
  t.match(shown.stdout, /certifies +St\. Mary as organisation\n(.*\n)*until +2030-01-01T/)
  t.match(shown.stdout, /approved by +nobody yet\n(.*\n)*Nothing was signed/)
  t.notMatch(shown.stdout, /NO ADMINISTRATOR/)
  t.match(await ben.read('approve', draft), { kind: 'certificate', subject: { id }, approvals: [], signed: false })

  t.equal(codeOf(await ann.run('approve', draft, '--sign')), 'consent_unfit', 'the author signs by sending')
  t.equal(codeOf(await ben.run('approve', draft, '--send')), 'consent_unfit', 'and nobody else sends')
  t.equal(codeOf(await hospital.run('approve', draft, '--sign')), 'not_an_authority')
  t.equal(codeOf(await ben.run('approve', draft, '--sign', '--send')), 'usage')
  t.equal(codeOf(await ben.run('approve', network)), 'usage', 'no draft')
  const approved = { approvals: [{ id: benId, administrator: true }], signed: true }
  t.match(await ben.read('approve', draft, '--sign'), approved)
  const altered = decodeDraft(Uint8Array.from(readFileSync(draft)))
  if (altered.kind !== 'certificate') throw new Error('It is no certificate.')
  writeFileSync(end, encodeDraft({ ...altered, body: { ...altered.body, until: altered.body.until + 1 } }))
  for (const way of [[], ['--sign'], ['--send']]) {
    t.equal(codeOf(await ann.run('approve', end, ...way)), 'transaction_bad_signature', 'altered after it was approved')
  }
  rmSync(end)
  t.match(await ann.read('approve', draft, '--send', '--mine'), { state: 'confirmed', result: { code: 0 } })
  const { certificates } = await hospital.read('identity', 'show')
  t.match(certificates, [{ revoked: false }])

  const ending = ['decertify', certificates[0]?.id ?? '', '--reason', 'left', '--draft', end]
  t.match(await ben.read(...ending), { kind: 'certificate_revocation' })
  t.match(await ann.read('approve', end), { subject: { id }, certificate: certificates[0]?.id, reason: 'left' })
  await ann.read('approve', end, '--sign')
  t.match(await ben.read('approve', end, '--send', '--mine'), { result: { code: 0 } })
  t.match(await hospital.read('identity', 'show'), { certificates: [{ revoked: true }] })

  writeFileSync(draft, 'x'.repeat(20_000))
  t.equal(codeOf(await ben.run('approve', draft)), 'usage')
})

t.test('a technician amends a record with the consent of the patient and the approval of a doctor', async (t) => {
  const { url, options } = await startNode(t, { network: networkFile(t, { clearLabels: false }) })
  const as = (name: string): Person<Said> => personOf(t, folderOf(t, name, 'wallet.age'), () => url)
  const [ann, tess, grey] = [as('ann'), as('tess'), as('grey')]
  const [file, draft, altered] = [folderOf(t, 'blood.txt'), folderOf(t, 'blood.draft'), folderOf(t, 'altered.draft')]
  for (const person of [ann, tess, grey]) await person.read('wallet', 'init')
  const node = ['identity', 'register', '--role', 'node', '--data', options.data, '--mine']
  const { id: nodeId } = await grey.read(...node)
  const { id: tessId } = await tess.read('identity', 'register', '--role', 'laboratory-technician')
  const { id: greyId } = await grey.read('identity', 'register', '--role', 'doctor')
  const { id } = await ann.read('identity', 'register', '--role', 'patient', '--custodian', nodeId, '--mine')
  for (const person of [tess, grey]) await person.read('contacts', 'add', 'Ann', id)
  await ann.read('grant', tessId, '--class', 'lab', '--may', 'APPEND', '--mine')

  writeFileSync(file, 'haemoglobin 41.1')
  const record = ['record', file, '--name', 'Blood count', '--class', 'lab', '--patient', 'Ann']
  const { id: first } = await tess.read(...record, '--mine')
  writeFileSync(file, 'haemoglobin 14.1')
  const amend = [...record, '--supersedes', first]
  const alone = await tess.run(...amend, '--mine')
  t.match([alone.code, JSON.parse(alone.stdout).result.name], [5, 'approval_missing'])
  t.equal(codeOf(await tess.run(...record, '--draft', draft)), 'usage', 'nothing is amended')
  t.equal(codeOf(await tess.run(...amend, '--draft', draft, '--mine')), 'usage')
  t.match(await tess.read(...amend, '--draft', draft), { draft, custodians: 1, cid: /^Qm/ })
  t.equal(codeOf(await tess.run(...amend, '--draft', draft)), 'output_exists')

  const shown = await grey.show('approve', draft)
  t.match(shown.stdout, new RegExp(`^amends +the record ${first}, of class lab\\nof +Ann\\n`))
  t.match(shown.stdout, /laboratory technician, who signs.+\napproved by +nobody yet\n(.*\n)*Nothing was signed/)
  t.equal(codeOf(await tess.run('approve', draft, '--send')), 'consent_unfit', 'a doctor has to sign first')
  t.equal(codeOf(await tess.run('approve', draft, '--sign')), 'consent_unfit')
  t.equal(codeOf(await ann.run('approve', draft, '--sign')), 'not_an_authority')
  const approval = { approval: { id: greyId, role: 'doctor' }, author: { id: tessId }, signed: true }
  t.match(await grey.read('approve', draft, '--sign'), approval)
  t.equal(codeOf(await grey.run('approve', draft, '--send')), 'consent_unfit', 'nobody else sends')
  const other = decodeDraft(Uint8Array.from(readFileSync(draft)))
  if (other.kind !== 'record' || !('patient' in other.body)) throw new Error('It is no record.')
  writeFileSync(altered, encodeDraft({ ...other, kind: 'record', body: { ...other.body, confidentiality: 0 } }))
  t.equal(
    codeOf(await tess.run('approve', altered, '--send')),
    'transaction_bad_signature',
    'altered after it was approved',
  )
  const sent = await tess.read('approve', draft, '--send', '--mine')
  t.match(sent, { state: 'confirmed', result: { code: 0 } })
  t.match(await ann.read('records', '--all'), {
    records: [
      { id: sent.id, state: 'current' },
      { id: first, state: 'superseded' },
    ],
  })
})

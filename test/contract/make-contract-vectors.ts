import { createHash } from 'node:crypto'
import { apply } from '#emrchain/contract/apply.js'
import { applyAll } from '#emrchain/contract/apply-block.js'
import { decide, type Question } from '#emrchain/contract/decide.js'
import { codeOf, type ResultName } from '#emrchain/contract/result-codes.js'
import { createMemoryState, createOverlay, writeChanges } from '#emrchain/contract/state.js'
import type { KindAndBody } from '#emrchain/protocol/bodies/decode-body.js'
import { actions, NO_END, purposes, recordClasses, roles } from '#emrchain/protocol/consent-vocabulary.js'
import { approvalMessage, possessionMessage } from '#emrchain/protocol/signatures-of-others.js'
import type { SignedTransaction } from '#emrchain/protocol/transaction.js'
import { signerOf } from '../fixtures/block-maker.js'
import { certify, chain, createWorld, filler, identityBody, people, START, sign, type World } from './consent-world.js'
import { pinnedSequence, stateDigest } from './pinned-sequence.js'

/** The set-ups, questions and transactions of test/vectors/contract.json. */

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
export const accessors = Object.keys(people).filter((name) => (people[name] ?? 9) < 9 && name !== 'other')

export function furnish(world: World): World {
  for (const [name, bit] of Object.entries(recordClasses)) world.record(`${name} record`, { class: bit })
  world.record('secret record', { class: 1, confidentiality: 3, sensitivity: 1 })
  for (const name of accessors) {
    if (name === 'patient') continue
    world.grant(`to ${name}`, { to: name, actions: 63 })
    world.grant(`named to ${name}`, { to: name, actions: 63, records: [world.id('secret record')] })
    world.grant(`endless to ${name}`, { to: name, actions: 63, until: NO_END })
  }
  return world
}

interface Asked {
  readonly name: string
  readonly world: 'open' | 'clinic'
  readonly question: Question
  readonly time: number
  readonly code: number
}

function questionsOf(kind: 'open' | 'clinic', world: World): Asked[] {
  const asked: Asked[] = []
  const ask = (name: string, change: Partial<Question>, time = START + 10): void => {
    const question: Question = {
      accessor: world.id('doctor'),
      certificate: world.certificate('doctor'),
      record: world.id('lab record'),
      grant: world.id('to doctor'),
      action: actions.READ,
      purpose: purposes.TREAT,
      ...change,
    }
    asked.push({ name, world: kind, question, time, code: decide(world.state, question, time) })
  }
  const usual: Record<string, number> = { insurer: 8, researcher: 64, auditor: 1024, patient: 512 }
  for (const who of accessors) {
    const as = {
      accessor: world.id(who),
      certificate: world.certificate(who),
      purpose: usual[who] ?? purposes.TREAT,
    }
    const grant = world.ids.get(`to ${who}`) ?? null
    for (const [name, action] of Object.entries(actions)) ask(`${who} ${name}`, { ...as, grant, action })
    for (const [name, purpose] of Object.entries(purposes)) ask(`${who} for ${name}`, { ...as, grant, purpose })
    for (const name of Object.keys(recordClasses)) {
      ask(`${who} reads ${name}`, { ...as, grant, record: world.id(`${name} record`) })
    }
    for (const prefix of ['to', 'named to', 'endless to']) {
      const grant = world.ids.get(`${prefix} ${who}`) ?? null
      ask(`${who} reads the secret by ${prefix}`, { ...as, grant, record: world.id('secret record') })
      ask(`${who} reads late by ${prefix}`, { ...as, grant }, START + 1_000_000)
    }
    ask(`${who} without a grant`, { ...as, grant: null })
    ask(`${who} with the grant of another`, { ...as, grant: world.id(who === 'nurse' ? 'to doctor' : 'to nurse') })
    ask(`${who} with the certificate of another`, { ...as, grant, certificate: world.certificate('hospital') })
  }
  ask('no such record', { record: filler(7, 36) })
  ask('no such accessor', { accessor: filler(7, 36) })
  ask('too early', {}, START - 1)
  return asked
}

interface Sent {
  readonly name: string
  readonly world: 'open' | 'clinic'
  readonly before: readonly SignedTransaction[]
  readonly transaction: SignedTransaction
  readonly code: number
}

/** Transactions with the code that a person wrote down for each. */
function sentOf(kind: 'open' | 'clinic', world: World): Sent[] {
  const sent: Sent[] = []
  const expect = (name: string, code: ResultName, transaction: SignedTransaction, before: SignedTransaction[] = []) =>
    sent.push({ name, world: kind, before, transaction, code: codeOf(code) })
  const by = (who: string, kindAndBody: KindAndBody, at = START + 500) => sign(who, kindAndBody, at)
  const id = (name: string): Uint8Array => world.id(name)
  const cert = (name: string): Uint8Array | null => world.certificate(name)
  const newKey = signerOf('new key')
  const rotation = (proof: Uint8Array | null, previous: Uint8Array | null) => ({
    kind: 'identity' as const,
    body: { ...identityBody('doctor', roles.doctor, { previous, keyProof: proof }), key: newKey.publicKey },
  })
  const proof = newKey.sign(possessionMessage(chain, signerOf('doctor').publicKey, newKey.publicKey))
  const rotated = by('doctor', rotation(proof, id('doctor')))
  expect('a key is rotated', 'accepted', rotated)
  expect('a new key without proof', 'proof_missing', by('doctor', rotation(null, id('doctor'))))
  expect('a rotation of another version', 'wrong_predecessor', by('doctor', rotation(proof, id('nurse'))))
  expect('a rotation by an old key', 'unknown_author', by('doctor', rotation(proof, rotated.id.bytes), START + 501), [
    rotated,
  ])
  const second = { kind: 'identity' as const, body: identityBody('doctor', roles.nurse, { previous: id('doctor') }) }
  expect('another role', 'role_changed', by('doctor', second))
  const stolen = {
    ...identityBody('doctor', roles.doctor, { previous: id('doctor') }),
    key: signerOf('nurse').publicKey,
  }
  expect('the key of another', 'key_taken', by('doctor', { kind: 'identity', body: stolen }))
  const leap = { classKeys: [{ class: 1, epoch: 3, key: filler(8) }], custodians: [], previous: id('patient') }
  expect(
    'an epoch left out',
    'wrong_epoch',
    by('patient', { kind: 'identity', body: identityBody('patient', 0, leap) }),
  )
  const foreign = { custodians: [id('doctor')], previous: id('patient') }
  expect(
    'a doctor as custodian',
    'node_unknown',
    by('patient', { kind: 'identity', body: identityBody('patient', 0, foreign) }),
  )

  const access = (who: string, change = {}, at = START + 500) =>
    by(
      who,
      {
        kind: 'access',
        body: {
          record: id('lab record'),
          grant: world.ids.get(`to ${who}`) ?? null,
          certificate: cert(who),
          action: actions.READ,
          purpose: purposes.TREAT,
          commitment: filler(6),
          ...change,
        },
      },
      at,
    )
  expect('a doctor reads', 'accepted', access('doctor'))
  expect('a stranger reads', 'unknown_author', access('stranger', { certificate: null }))
  expect('an accessor without a grant', 'no_grant', access('doctor', { grant: null }))
  const revoke = (who: string, target: { grant?: Uint8Array; grantee?: Uint8Array }, at = START + 400) =>
    by(who, { kind: 'revocation', body: { patient: id('patient'), grant: null, grantee: null, ...target } }, at)
  expect('a grant is revoked', 'accepted', revoke('patient', { grant: id('to doctor') }))
  expect('read after the grant is revoked', 'revoked', access('doctor'), [
    revoke('patient', { grant: id('to doctor') }),
  ])
  expect('read after all of a doctor', 'revoked', access('doctor'), [revoke('patient', { grantee: id('doctor') })])
  expect('read after all of another', 'accepted', access('doctor'), [revoke('patient', { grantee: id('nurse') })])
  expect('read after all', 'revoked', access('doctor'), [revoke('patient', {})])
  expect('revoked twice', 'grant_unknown', revoke('patient', { grant: id('to doctor') }, START + 401), [
    revoke('patient', { grant: id('to doctor') }),
  ])
  expect('revoked by another', 'not_entitled', revoke('nurse', { grant: id('to doctor') }))
  expect('given up by its grantee', 'accepted', revoke('doctor', { grant: id('to doctor') }))

  const grant = (who: string, change = {}, at = START + 300) =>
    by(who, { kind: 'grant', body: world.grantBody(change) }, at)
  const deny = grant('patient', { deny: 1 })
  expect('denied to the doctor', 'denied', access('doctor'), [deny])
  expect('denied to everybody', 'denied', access('nurse'), [grant('patient', { deny: 1, grantee: null })])
  expect('denied to another', 'accepted', access('nurse'), [deny])
  expect('a deny outlives all revocations', 'denied', access('doctor'), [deny, revoke('patient', {})])
  expect('a deny is not for the doctor to lift', 'not_entitled', revoke('doctor', { grant: deny.id.bytes }), [deny])
  expect('a grant by another', 'not_entitled', grant('doctor'))
  const narrow = (change: object) => grant('patient', change)
  const under = (made: SignedTransaction) => access('doctor', { grant: made.id.bytes })
  const [billing, notes] = [narrow({ purposes: purposes.HPAYMT }), narrow({ classes: recordClasses.note })]
  expect('a grant for another purpose', 'wrong_purpose', under(billing), [billing])
  expect('a grant for another class', 'out_of_scope', under(notes), [notes])
  expect('a grant to nobody who is there', 'subject_unknown', narrow({ grantee: id('to doctor') }))
  const denies = Array.from({ length: 17 }, (_, at) => grant('patient', { deny: 1 }, START + 310 + at))
  const [seventeenth = deny, ...sixteen] = denies
  expect('a seventeenth deny', 'too_many_denies', seventeenth, sixteen)
  const once = grant('patient', { uses: 1 })
  const first = access('doctor', { grant: once.id.bytes })
  expect('used once', 'accepted', first, [once])
  expect('used twice', 'used_up', access('doctor', { grant: once.id.bytes }, START + 501), [once, first])
  const delegation = { under: id('to delegate'), certificate: cert('delegate'), actions: actions.READ }
  expect('a delegate grants', 'accepted', grant('delegate', delegation))
  expect('a delegate grants for longer', 'out_of_time', grant('delegate', { ...delegation, until: NO_END }))
  expect('a delegate passes its right on', 'wrong_action', grant('delegate', { ...delegation, actions: 63 }))
  expect(
    'a delegate under the grant of another',
    'no_grant',
    grant('delegate', { ...delegation, under: id('to nurse') }),
  )

  const request = { patient: id('patient'), grantee: id('doctor'), certificate: cert('doctor') }
  const {
    records,
    classes,
    actions: asked,
    purposes: why,
    confidentiality,
    sensitivity,
    from,
    until,
    uses,
  } = world.grantBody()
  const wanted = { records, classes, actions: asked, purposes: why, confidentiality, sensitivity, from, until, uses }
  expect('a doctor asks', 'accepted', by('doctor', { kind: 'request', body: { ...request, ...wanted } }))
  expect(
    'a doctor asks for a nurse',
    'not_entitled',
    by('doctor', { kind: 'request', body: { ...request, ...wanted, grantee: id('nurse') } }),
  )

  const record = (who: string, change = {}) => by(who, { kind: 'record', body: world.recordBody(change) })
  const byLab = { grant: id('to lab'), certificate: cert('lab'), purpose: purposes.TREAT }
  expect('the patient writes', 'accepted', record('patient'))
  expect('a technician writes', 'accepted', record('lab', byLab))
  expect('a technician writes a note', 'above_ceiling', record('lab', { ...byLab, class: 1 }))
  expect('no receipts', 'receipts_too_few', record('patient', { receipts: [] }))
  expect('another epoch', 'wrong_epoch', record('patient', { epoch: 2 }))
  expect('replaces one of another class', 'wrong_supersedes', record('patient', { supersedes: id('note record') }))
  const amendment = { ...byLab, supersedes: id('lab record') }
  expect('a technician amends alone', 'approval_missing', record('lab', amendment))
  const unsigned = {
    chain,
    at: START + 500,
    from: signerOf('lab').publicKey,
    kind: 'record' as const,
    body: world.recordBody(amendment),
  }
  const message = Buffer.concat([approvalMessage(unsigned), cert('doctor') ?? filler(0, 0)])
  const approval = {
    key: signerOf('doctor').publicKey,
    certificate: cert('doctor'),
    sig: signerOf('doctor').sign(message),
  }
  expect('a technician amends with a doctor', 'accepted', record('lab', { ...amendment, approval }))
  expect(
    'an amendment that a nurse approves',
    'approval_missing',
    record('lab', {
      ...amendment,
      approval: { ...approval, key: signerOf('nurse').publicKey, certificate: cert('nurse') },
    }),
  )

  const erase = by('patient', { kind: 'erasure', body: { record: id('lab record'), ground: 1 } }, START + 450)
  const receipt = (who: string, at = START + 500) =>
    by(who, { kind: 'erasure_receipt', body: { erasure: erase.id.bytes, parts: 7 } }, at)
  expect('the patient erases', 'accepted', erase)
  expect(
    'another erases',
    'not_entitled',
    by('doctor', { kind: 'erasure', body: { record: id('lab record'), ground: 0 } }),
  )
  expect('read after erasure', 'no_record', access('doctor'), [erase])
  expect('a node confirms', 'accepted', receipt('node1'), [erase])
  expect('a node confirms twice', 'receipt_known', receipt('node1', START + 501), [erase, receipt('node1')])
  expect('a node confirms nothing', 'erasure_unknown', receipt('node1'))
  expect('a doctor confirms', 'not_entitled', receipt('doctor'), [erase])

  if (kind === 'clinic') {
    const end = (who: string, name: string, at = START + 350) =>
      by(
        who,
        {
          kind: 'certificate_revocation',
          body: { certificate: id(`certificate of ${name}`), reason: 1, approvals: [] },
        },
        at,
      )
    expect('the hospital ends a certificate', 'accepted', end('hospital', 'doctor'))
    expect('read with an ended certificate', 'no_role', access('doctor'), [end('hospital', 'doctor')])
    expect('another ends a certificate', 'not_entitled', end('doctor', 'nurse'))
    expect('one administrator alone', 'threshold_missed', end('admin1', 'hospital'))
    expect('ended twice', 'certificate_unknown', end('hospital', 'doctor', START + 351), [end('hospital', 'doctor')])
    const fields = { certificate: id('certificate of hospital'), reason: 1, approvals: [] }
    const claim = {
      chain,
      at: START + 350,
      from: signerOf('admin1').publicKey,
      kind: 'certificate_revocation' as const,
      body: fields,
    }
    const signed = { key: signerOf('admin2').publicKey, sig: signerOf('admin2').sign(approvalMessage(claim)) }
    const whole = by(
      'admin1',
      { kind: 'certificate_revocation', body: { ...fields, approvals: [signed] } },
      START + 350,
    )
    expect('two administrators', 'accepted', whole)
    expect('read when the hospital is out', 'no_role', access('doctor'), [whole])
    expect('a doctor certifies', 'not_entitled', certify('doctor', id('nurse'), roles.nurse, cert('doctor')))
    expect(
      'a hospital certifies a hospital',
      'role_forbidden',
      certify('hospital', id('hospital'), roles.organisation, cert('hospital')),
    )
    const admitted = certify('admin1', id('admin2'), roles.administrator, null)
    const leaving = { certificate: admitted.id.bytes, reason: 2, approvals: [] }
    const leave = { ...claim, body: leaving }
    const agreed = { key: signerOf('admin2').publicKey, sig: signerOf('admin2').sign(approvalMessage(leave)) }
    const left = by('admin1', { kind: leave.kind, body: { ...leaving, approvals: [agreed] } }, START + 350)
    expect('an administrator whom the threshold needs', 'administrators_too_few', left, [admitted])
    const bare = sign('patient', { kind: 'record', body: { file: world.recordBody().file } })
    expect('a bare record', 'bare_record', bare)
  }
  return sent
}

export const worlds = { open: furnish(createWorld('open')), clinic: furnish(createWorld('clinic')) }
export const sent = [...sentOf('open', worlds.open), ...sentOf('clinic', worlds.clinic)]

/** Code of a transaction after some others, over a world that stays as it is. */
export function codeAfter(world: World, before: readonly SignedTransaction[], transaction: SignedTransaction): number {
  const overlay = createOverlay(world.state)
  for (const one of before) {
    const code = apply(overlay, one, { height: 2, time: START + 10 })
    if (code !== 0) throw new Error(`The set-up has code ${code}.`)
  }
  return apply(overlay, transaction, { height: 3, time: START + 10 })
}

/** Blocks that go on where each world ends. */
export const sequences = {
  open: pinnedSequence(worlds.open, 1, 40, 25),
  clinic: pinnedSequence(worlds.clinic, 2, 40, 25),
}

/** What only equal states give: digests of a world, of what each of its vectors changes, and of a world 1,000 transactions on. */
function digestsOf(kind: 'open' | 'clinic') {
  const { state } = worlds[kind]
  const hash = createHash('sha256')
  for (const { world, before, transaction } of sent) {
    if (world !== kind) continue
    const overlay = createOverlay(state)
    for (const one of before) apply(overlay, one, { height: 2, time: START + 10 })
    apply(overlay, transaction, { height: 3, time: START + 10 })
    hash.update(stateDigest(overlay.changes()))
  }
  const after = createOverlay(state)
  for (const { transactions, ...place } of sequences[kind]) applyAll(after, transactions, place)
  const whole = createMemoryState()
  writeChanges(whole, [...state.entries(), ...after.changes()])
  const all = sequences[kind]
  return {
    state: stateDigest(state.entries()),
    changes: hash.digest('hex'),
    sequence: {
      transactions: digestOf(all.flatMap(({ transactions }) => transactions.map(({ bytes }) => bytes))),
      results: digestOf(all.map(({ results }) => results)),
      state: stateDigest(whole.entries()),
    },
  }
}

const digestOf = (parts: readonly Uint8Array[]): string =>
  parts.reduce((hash, part) => hash.update(part), createHash('sha256')).digest('hex')

export const makeContractVectors = () => ({
  digests: { open: digestsOf('open'), clinic: digestsOf('clinic') },
  worlds: {
    open: { administrators: null, transactions: worlds.open.transactions.map(({ bytes }) => hex(bytes)) },
    clinic: {
      administrators: { keys: ['admin1', 'admin2'].map((name) => hex(signerOf(name).publicKey)), threshold: 2 },
      transactions: worlds.clinic.transactions.map(({ bytes }) => hex(bytes)),
    },
  },
  time: START,
  questions: [...questionsOf('open', worlds.open), ...questionsOf('clinic', worlds.clinic)].map(
    ({ name, world, question, time, code }) => ({
      name,
      world,
      time,
      accessor: hex(question.accessor),
      certificate: question.certificate && hex(question.certificate),
      record: question.record instanceof Uint8Array ? hex(question.record) : null,
      grant: question.grant && hex(question.grant),
      action: question.action,
      purpose: question.purpose,
      code,
    }),
  ),
  transactions: sent.map(({ name, world, before, transaction, code }) => ({
    name,
    world,
    before: before.map(({ bytes }) => hex(bytes)),
    transaction: hex(transaction.bytes),
    code,
  })),
})

import type { CID } from 'multiformats/cid'
import { apply, beginState } from '#emrchain/contract/apply.js'
import { createMemoryState, type MemoryState } from '#emrchain/contract/state.js'
import type { KindAndBody } from '#emrchain/protocol/bodies/decode-body.js'
import { compareBytes } from '#emrchain/protocol/bodies/fields.js'
import type { GrantBody } from '#emrchain/protocol/bodies/grant.js'
import type { IdentityBody } from '#emrchain/protocol/bodies/identity.js'
import type { ConsentRecordBody } from '#emrchain/protocol/bodies/record.js'
import { EVERY_ROLE, NO_END, type Role, roles } from '#emrchain/protocol/consent-vocabulary.js'
import { approvalMessage, depositMessage } from '#emrchain/protocol/signatures-of-others.js'
import { type SignedTransaction, signTransaction } from '#emrchain/protocol/transaction.js'
import { createBlockMaker, signerOf } from '../fixtures/block-maker.js'

/** A network with people, made by real, signed transactions; the same in every run. */
export const START = 1_767_225_600_000
const { genesis } = createBlockMaker()
export const chain = genesis.id

export const sign = (name: string, kindAndBody: KindAndBody, at = START, of = chain): SignedTransaction =>
  signTransaction({ chain: of, at, ...kindAndBody }, signerOf(name))

/** 32 bytes that nobody needs to open. */
export const filler = (byte: number, length = 32): Uint8Array => new Uint8Array(length).fill(byte)

export function identityBody(name: string, role: Role, change: Partial<IdentityBody> = {}): IdentityBody {
  const nothing = { recovery: null, keyProof: null, recoveryProof: null, previous: null, classKeys: [], custodians: [] }
  return { role, key: signerOf(name).publicKey, seal: filler(9), ...nothing, ...change }
}

export interface World {
  readonly chain: CID
  readonly state: MemoryState
  readonly transactions: SignedTransaction[]
  /** Ids by name. */
  readonly ids: Map<string, Uint8Array>
  id(name: string): Uint8Array
  /** The certificate of a person, or null in an open network. */
  certificate(name: string): Uint8Array | null
  /** Applies a transaction, which must be accepted, and names it. */
  add(name: string, transaction: SignedTransaction): Uint8Array
  grant(name: string, change?: Partial<GrantBody> & { to?: string }): Uint8Array
  record(name: string, change?: Partial<ConsentRecordBody> & { by?: string; file?: Uint8Array }): Uint8Array
  recordBody(change?: Partial<ConsentRecordBody>): ConsentRecordBody
  grantBody(change?: Partial<GrantBody>): GrantBody
}

const CLASSES = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]

export const people: Readonly<Record<string, Role>> = {
  hospital: roles.organisation,
  node1: roles.node,
  node2: roles.node,
  node3: roles.node,
  patient: roles.patient,
  other: roles.patient,
  delegate: roles.delegate,
  doctor: roles.doctor,
  doctor2: roles.doctor,
  nurse: roles.nurse,
  lab: roles.laboratory_technician,
  pharmacist: roles.pharmacist,
  insurer: roles.insurance_agent,
  researcher: roles.researcher,
  auditor: roles.auditor,
}

/** The file of every record here: the CIDv0 of nothing in particular. */
const FILE = Uint8Array.from([0x12, 0x20, ...filler(5)])

export type WorldKind = 'open' | 'clinic'

/** The administrators that the parameters of its network name. */
export const administratorsOf = (kind: WorldKind) =>
  kind === 'open' ? null : { keys: [signerOf('admin1').publicKey, signerOf('admin2').publicKey], threshold: 2 }

/** @param of the genesis id that its transactions name */
export function createWorld(kind: WorldKind, of: CID = chain): World {
  const state = createMemoryState()
  beginState(state, administratorsOf(kind))
  const transactions: SignedTransaction[] = []
  const ids = new Map<string, Uint8Array>()
  let count = 0
  const id = (name: string): Uint8Array => {
    const found = ids.get(name)
    if (!found) throw new Error(`Nobody is called ${name}.`)
    return found
  }
  const world: World = {
    chain: of,
    state,
    transactions,
    ids,
    id,
    certificate: (name) => ids.get(`certificate of ${name}`) ?? null,
    add(name, transaction) {
      const code = apply(state, transaction, { height: 1, time: START })
      if (code !== 0) throw new Error(`${name}: ${code}`)
      transactions.push(transaction)
      ids.set(name, transaction.id.bytes)
      return transaction.id.bytes
    },
    grantBody: (change = {}) => ({
      patient: id('patient'),
      grantee: id('doctor'),
      roles: EVERY_ROLE,
      deny: 0,
      under: null,
      certificate: world.certificate('patient'),
      request: null,
      keys: [],
      seal: null,
      records: [],
      classes: change.records ? 0 : 0x7ff,
      actions: 31,
      purposes: 0x7ff,
      confidentiality: 3,
      sensitivity: 15,
      from: START,
      until: START + 1_000_000,
      uses: 0,
      ...change,
    }),
    grant(name, { to, ...change } = {}) {
      const body = world.grantBody(to ? { grantee: id(to), ...change } : change)
      return world.add(name, sign('patient', { kind: 'grant', body }, START + count++, of))
    },
    recordBody(change = {}) {
      const body = {
        file: FILE,
        patient: id('patient'),
        class: 2,
        confidentiality: 1,
        sensitivity: 0,
        epoch: 1,
        enc: filler(1),
        sealed: filler(2, 48),
        commitment: filler(3),
        nonce: filler(4),
        purpose: 512,
        grant: null,
        certificate: world.certificate('patient'),
        supersedes: null,
        receipts: [],
        approval: null,
        ...change,
      }
      const message = depositMessage(of, body)
      const receipts = ['node1', 'node2']
        .map((name) => ({ node: id(name), key: signerOf(name).publicKey, sig: signerOf(name).sign(message) }))
        .sort((a, b) => compareBytes(a.node, b.node))
      return { ...body, receipts: change.receipts ?? receipts }
    },
    record(name, { by = 'patient', ...change } = {}) {
      return world.add(name, sign(by, { kind: 'record', body: world.recordBody(change) }, START + count++, of))
    },
  }
  if (kind === 'clinic') {
    for (const name of ['admin1', 'admin2']) {
      world.add(name, sign(name, { kind: 'identity', body: identityBody(name, roles.administrator) }, START, of))
    }
  }
  for (const [name, role] of Object.entries(people)) {
    const isPatient = role === roles.patient
    const classKeys = isPatient ? CLASSES.map((one) => ({ class: one, epoch: 1, key: filler(one % 251) })) : []
    const custodians = isPatient ? ['node1', 'node2', 'node3'].map(id).sort(compareBytes) : []
    world.add(
      name,
      sign(name, { kind: 'identity', body: identityBody(name, role, { classKeys, custodians }) }, START, of),
    )
    if (kind === 'open') continue
    const isHospital = role === roles.organisation
    const under = isHospital ? null : world.certificate('hospital')
    world.add(`certificate of ${name}`, certify(isHospital ? 'admin1' : 'hospital', id(name), role, under, {}, of))
  }
  return world
}

/** A certificate; that of an administrator is signed by the second one too. */
export function certify(
  issuer: string,
  subject: Uint8Array,
  role: Role,
  under: Uint8Array | null,
  { at = START, ...change }: { from?: number; until?: number; capabilities?: number; at?: number } = {},
  of = chain,
): SignedTransaction {
  const fields = { subject, role, capabilities: 0, from: START, until: NO_END, under, approvals: [], ...change }
  if (issuer !== 'admin1') return sign(issuer, { kind: 'certificate', body: fields }, at, of)
  const { publicKey: from } = signerOf(issuer)
  const second = signerOf('admin2')
  const message = approvalMessage({ chain: of, at, from, kind: 'certificate', body: fields })
  const approvals = [{ key: second.publicKey, sig: second.sign(message) }]
  return sign(issuer, { kind: 'certificate', body: { ...fields, approvals } }, at, of)
}

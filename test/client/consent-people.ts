import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { addApproval, approve } from '#emrchain/client/consent/approvals.js'
import { certify, draftCertificate } from '#emrchain/client/consent/certificate.js'
import { type ConsentKeys, signerOf as keySigner, newConsentKeys } from '#emrchain/client/consent/consent-keys.js'
import { type Draft, decodeDraft, encodeDraft, type Stamp, signDraft } from '#emrchain/client/consent/draft.js'
import { type IdentityTransaction, registerIdentity } from '#emrchain/client/consent/identity.js'
import type { Custodian } from '#emrchain/client/consent/receipts.js'
import { addReceipts } from '#emrchain/client/consent/receipts.js'
import {
  type ConsentRecord,
  type DraftedRecord,
  draftRecord,
  type NewConsentRecord,
  newRecordSecrets,
  type RecordSecrets,
  signRecordDraft,
} from '#emrchain/client/consent/record.js'
import { apply, beginState } from '#emrchain/contract/apply.js'
import { resultCodes } from '#emrchain/contract/result-codes.js'
import { createMemoryState, type MemoryState } from '#emrchain/contract/state.js'
import { nobleAead } from '#emrchain/crypto/aead-noble.js'
import type { Signer } from '#emrchain/crypto/ed25519.js'
import { decryptFile, encryptFile, FILE_CONTEXT } from '#emrchain/crypto/file-cipher.js'
import { sha256 } from '#emrchain/crypto/hash.js'
import { NO_END, type Role, roles } from '#emrchain/protocol/consent-vocabulary.js'
import { checkSignatures, decodeTransaction, type SignedTransaction } from '#emrchain/protocol/transaction.js'
import { createBlockMaker, rules } from '../fixtures/block-maker.js'

/** People with real keys on a contract in memory: everything they do is a signed transaction that is applied. */
export const START = 1_767_225_600_000
export const chain = createBlockMaker().genesis.id

/** Somebody of the world: what a wallet would hold, and what the chain says of them. */
export interface Person {
  keys: ConsentKeys
  /** The latest version. */
  version: IdentityTransaction
  readonly id: Uint8Array
  certificate: Uint8Array | null
}

export interface Clinic {
  readonly state: MemoryState
  readonly people: ReadonlyMap<string, Person>
  /** A later time each time that it is asked. */
  stamp(): Stamp
  person(name: string): Person
  signer(name: string): Signer
  /** Applies a transaction as nodes do, from its bytes: the name of its result. */
  send(transaction: SignedTransaction): string
  /** The same of one that must be accepted. */
  sent<T extends SignedTransaction>(transaction: T): T
  custodians(): Custodian[]
  /** What each custodian signs that has kept a deposit. */
  receiptsFor(
    deposit: DraftedRecord,
    nodes?: readonly string[],
  ): { node: Uint8Array; key: Uint8Array; sig: Uint8Array }[]
  draft(author: string, change?: Partial<NewConsentRecord>): Promise<Written>
  /** Writes a record and has it accepted. */
  write(author: string, change?: Partial<NewConsentRecord>): Promise<Written & { readonly record: ConsentRecord }>
}

export interface Written {
  readonly drafted: DraftedRecord
  readonly secrets: RecordSecrets
  readonly text: string
  readonly encrypted: Uint8Array
}

const staff: Readonly<Record<string, Role>> = {
  node1: roles.node,
  node2: roles.node,
  node3: roles.node,
  patient: roles.patient,
  other: roles.patient,
  doctor: roles.doctor,
  doctor2: roles.doctor,
  lab: roles.laboratory_technician,
  delegate: roles.delegate,
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}
async function whole(source: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  for await (const piece of source) pieces.push(Uint8Array.from(piece))
  return Uint8Array.from(Buffer.concat(pieces))
}

/** Decrypts a file as a reader does. */
export const decrypted = async (encrypted: Uint8Array, key: Uint8Array): Promise<string> =>
  Buffer.from(await whole(decryptFile(once(encrypted), { key, context: FILE_CONTEXT, aead: nobleAead }))).toString()

/** A network with two administrators who both have to sign, and a hospital with its people. */
export async function createClinic(): Promise<Clinic> {
  const state = createMemoryState()
  const people = new Map<string, Person>()
  let time = START
  const stamp = (): Stamp => ({ chain, at: time++ })
  const person = (name: string): Person => {
    const found = people.get(name)
    if (!found) throw new Error(`Nobody is called ${name}.`)
    return found
  }
  const signer = (name: string): Signer => keySigner(person(name).keys)
  const send = ({ bytes }: SignedTransaction): string => {
    const transaction = decodeTransaction(Uint8Array.from(bytes))
    checkSignatures(transaction, rules)
    const code = apply(state, transaction, { height: 1, time })
    return Object.entries(resultCodes).find(([, [number]]) => number === code)?.[0] ?? String(code)
  }
  const sent = <T extends SignedTransaction>(transaction: T): T => {
    const result = send(transaction)
    if (result !== 'accepted') throw new Error(`${transaction.kind}: ${result}`)
    return transaction
  }
  const register = async (name: string, role: Role, keys: ConsentKeys, custodians: readonly Uint8Array[] = []) => {
    const version = sent(await registerIdentity(stamp(), { keys, role, custodians }))
    people.set(name, { keys, version, id: version.id.bytes, certificate: null })
  }
  const nodes = ['node1', 'node2', 'node3']

  const clinic: Clinic = {
    ...{ state, people, stamp, person, signer, send, sent },
    custodians: () => nodes.map((name) => ({ id: person(name).id, key: signer(name).publicKey })),
    receiptsFor: ({ message }, names = nodes) =>
      names.map((name) => ({ node: person(name).id, key: signer(name).publicKey, sig: signer(name).sign(message) })),
    async draft(author, change = {}) {
      const secrets = change.secrets ?? newRecordSecrets()
      const text = `A finding of ${time}.`
      const source = once(new TextEncoder().encode(text))
      const encrypted = await whole(
        encryptFile(source, { key: secrets.contentKey, context: FILE_CONTEXT, aead: nobleAead }),
      )
      const { id: patient, version } = person('patient')
      const classKey = version.body.classKeys.find((key) => key.class === 2)
      if (!classKey) throw new Error('The patient has no such class key.')
      const record: NewConsentRecord = {
        ...{ secrets, patient, classKey, grant: null, certificate: person(author).certificate },
        ...{ file: fileCidOf(encrypted), confidentiality: 1, sensitivity: 0, purpose: author === 'patient' ? 512 : 1 },
        label: { name: 'Blood count', fileName: 'count.txt', size: text.length },
        ...change,
      }
      return { drafted: await draftRecord(stamp(), signer(author).publicKey, record), secrets, text, encrypted }
    },
    async write(author, change) {
      const written = await clinic.draft(author, change)
      const draft = addReceipts(written.drafted.draft, clinic.receiptsFor(written.drafted, ['node1', 'node3']))
      return { ...written, record: sent(signRecordDraft(draft, signer(author), clinic.custodians())) }
    },
  }

  const admins = ['admin1', 'admin2'].map((name) => ({ name, keys: newConsentKeys({ chain, isPatient: false }) }))
  beginState(state, { keys: admins.map(({ keys }) => keySigner(keys).publicKey), threshold: 2 })
  for (const { name, keys } of admins) await register(name, roles.administrator, keys)
  await register('hospital', roles.organisation, newConsentKeys({ chain, isPatient: false }))
  const forHospital = { subject: person('hospital').id, role: roles.organisation, capabilities: 0, under: null }
  const draft = draftCertificate(stamp(), signer('admin1').publicKey, { ...forHospital, from: START, until: NO_END })
  // The draft goes to the second administrator as bytes, and the approval comes back.
  const approval = approve(decodeDraft(encodeDraft(draft)), signer('admin2'))
  person('hospital').certificate = sent(signDraft(addApproval(draft, approval), signer('admin1'))).id.bytes

  for (const [name, role] of Object.entries(staff)) {
    const isPatient = role === roles.patient
    const recovery = isPatient ? sha256(new TextEncoder().encode(`recovery of ${name}`)) : undefined
    const keys = newConsentKeys({ chain, isPatient, ...(recovery && { recovery }) })
    await register(name, role, keys, isPatient ? nodes.map((node) => person(node).id) : [])
    const under = person('hospital').certificate
    const fields = { subject: person(name).id, role, capabilities: 0, from: START, until: NO_END, under }
    person(name).certificate = sent(certify(stamp(), signer('hospital'), fields)).id.bytes
  }
  return clinic
}

/** A CID for encrypted bytes, as a file store gives one. */
export const fileCidOf = (encrypted: Uint8Array): Uint8Array =>
  CID.createV1(0x55, Digest.create(0x12, sha256(encrypted))).bytes

/** The draft of a record with the receipts of all three nodes. */
export const withReceipts = (clinic: Clinic, drafted: DraftedRecord): Draft =>
  addReceipts(drafted.draft, clinic.receiptsFor(drafted))

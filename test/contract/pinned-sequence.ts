import { createHash } from 'node:crypto'
import { applyAll } from '#emrchain/contract/apply-block.js'
import { type Change, createMemoryState, createOverlay, writeChanges } from '#emrchain/contract/state.js'
import type { KindAndBody } from '#emrchain/protocol/bodies/decode-body.js'
import { encodeCanonical } from '#emrchain/protocol/canonical.js'
import { NO_END, type Role, roles } from '#emrchain/protocol/consent-vocabulary.js'
import { approvalMessage, depositMessage, possessionMessage } from '#emrchain/protocol/signatures-of-others.js'
import type { SignedTransaction } from '#emrchain/protocol/transaction.js'
import { signerOf } from '../fixtures/block-maker.js'
import { createRandom } from '../fixtures/random.js'
import { certify, filler, identityBody, people, START, sign, type World } from './consent-world.js'

/** The transactions of one block, at its time. */
export interface SequenceBlock {
  readonly height: number
  readonly time: number
  readonly transactions: readonly SignedTransaction[]
  readonly results: Uint8Array
}

/** SHA-256 of a whole state: DAG-CBOR of `[table, key, value]` of each row, by table and key. docs/protocol.md, "State". */
export function stateDigest(entries: readonly Change[]): string {
  const hash = createHash('sha256')
  for (const { table, key, value } of entries) hash.update(encodeCanonical([table, key, value]))
  return hash.digest('hex')
}

/**
 * Blocks that go on where a furnished world ends, the same in every run: every kind of transaction, about half of them
 * with right. Who changes this has to write the vectors anew.
 */
export function pinnedSequence(world: World, seed: number, blocks: number, each: number): SequenceBlock[] {
  const random = createRandom(seed)
  const state = createMemoryState()
  writeChanges(state, world.state.entries())
  const ids = (prefix: string): Uint8Array[] =>
    [...world.ids].flatMap(([name, id]) => (name.startsWith(prefix) ? [id] : []))
  const records = [...world.ids].flatMap(([name, id]) => (name.endsWith(' record') ? [id] : []))
  const grants = new Map(Object.keys(people).map((name) => [name, [...ids(`to ${name}`), ...ids(`named to ${name}`)]]))
  const [denies, erasures, certificates] = [
    [] as Uint8Array[],
    [] as Uint8Array[],
    new Map<string, Uint8Array | null>(),
  ]
  for (const name of Object.keys(people)) certificates.set(name, world.certificate(name))
  const versions = new Map(Object.keys(people).map((name) => [name, { id: world.id(name), signer: name, epoch: 1 }]))
  const pick = <T>(items: readonly T[]): T => {
    const item = items[random.whole(0, items.length - 1)]
    if (item === undefined) throw new Error('There is nothing to pick from.')
    return item
  }
  const bit = (count: number): number => 2 ** random.whole(0, count - 1)
  const names = Object.keys(people)
  const readers = names.filter((name) => (people[name] ?? 9) < 9 && name !== 'other' && name !== 'patient')
  const nodes = ['node1', 'node2', 'node3']
  const usual: Record<string, number> = { insurer: 8, researcher: 64, auditor: 1024 }
  /** A grant that this reader may have, mostly its own. */
  const grantFor = (name: string): Uint8Array | null => {
    const own = grants.get(name) ?? []
    return own.length > 0 && random.whole(0, 9) > 0 ? pick(own.slice(-5)) : null
  }
  const scope = () => {
    const named = random.whole(0, 2) === 0
    return {
      records: named ? [pick(records)] : [],
      classes: named ? 0 : pick([0x7ff, 0x7ff, 2, 64]),
      actions: pick([63, 31, 2, 10]),
      purposes: pick([0x7ff, 0x7ff, 1, 8]),
      confidentiality: pick([3, 2, 1]),
      sensitivity: pick([15, 15, 0]),
      from: START + pick([0, 0, 40_000]),
      until: pick([START + 1_000_000, START + 60_000, NO_END]),
      uses: pick([0, 0, 0, 1, 2]),
    }
  }
  let at = START
  type Made = readonly [who: string, kindAndBody: KindAndBody, keep?: (id: Uint8Array) => void]
  const signerName = (who: string): string => versions.get(who)?.signer ?? who

  const makers: readonly (() => Made)[] = [
    () => {
      const who = pick(['patient', 'patient', 'doctor', 'doctor2', 'lab', 'nurse'])
      const isOwn = who === 'patient'
      const body = {
        ...world.recordBody(),
        class: isOwn ? bit(11) : 2,
        confidentiality: random.whole(0, 2),
        sensitivity: pick([0, 0, 1, 8]),
        epoch: pick([versions.get('patient')?.epoch ?? 1, versions.get('patient')?.epoch ?? 1, 1]),
        nonce: filler(random.whole(0, 255)),
        purpose: isOwn ? 512 : 1,
        grant: isOwn ? null : grantFor(who),
        certificate: certificates.get(who) ?? null,
        supersedes: pick([null, null, pick(records.slice(-12))]),
        receipts: [],
      }
      const message = depositMessage(world.chain, body)
      const signed = nodes
        .slice(0, pick([2, 3, 3, 1]))
        .map((node) => ({ node: world.id(node), key: signerOf(node).publicKey, sig: signerOf(node).sign(message) }))
      const receipts = signed.sort((a, b) => Buffer.compare(a.node, b.node))
      const from = signerOf(signerName(who)).publicKey
      const approved = approvalMessage({ chain: world.chain, at, from, kind: 'record', body: { ...body, receipts } })
      const doctor = signerOf(signerName('doctor2'))
      const certificate = certificates.get('doctor2') ?? null
      const sig = doctor.sign(Buffer.concat([approved, certificate ?? filler(0, 0)]))
      const approval = who === 'lab' && random.whole(0, 1) === 1 ? { key: doctor.publicKey, certificate, sig } : null
      return [who, { kind: 'record', body: { ...body, receipts, approval } }, (id) => records.push(id)]
    },
    () => {
      const to = pick(readers)
      const body = world.grantBody({ ...scope(), grantee: world.id(to), roles: pick([0x1dff, 1 << (people[to] ?? 0)]) })
      return ['patient', { kind: 'grant', body }, (id) => grants.get(to)?.push(id)]
    },
    () => {
      const to = pick([...readers, null])
      const limits = {
        deny: 1,
        confidentiality: 3,
        sensitivity: 15,
        uses: 0,
        purposes: pick([0x7ff, bit(11)]),
        actions: 2,
      }
      const body = world.grantBody({ ...scope(), ...limits, grantee: to === null ? null : world.id(to) })
      return ['patient', { kind: 'grant', body }, (id) => denies.push(id)]
    },
    () => {
      const to = pick(['doctor', 'nurse', 'pharmacist'])
      const under = pick(grants.get('delegate') ?? [])
      const own = { under, certificate: certificates.get('delegate') ?? null, actions: pick([1, 2, 3, 35]) }
      const body = world.grantBody({
        ...scope(),
        ...own,
        until: START + pick([50_000, 2_000_000]),
        grantee: world.id(to),
      })
      return ['delegate', { kind: 'grant', body }, (id) => grants.get(to)?.push(id)]
    },
    () => {
      const who = pick(readers)
      const grantee = pick([world.id(who), world.id(who), world.id('hospital')])
      const asked = { patient: world.id(pick(['patient', 'other', 'nurse'])), grantee, ...scope() }
      return [who, { kind: 'request', body: { ...asked, certificate: certificates.get(who) ?? null } }]
    },
    () => {
      const who = pick(['patient', 'patient', 'patient', 'doctor', 'delegate'])
      const grant = pick([pick(grants.get(pick(readers)) ?? []), ...denies.slice(-1)])
      const which = random.whole(0, 19)
      const grantee = which === 1 ? world.id(pick(readers)) : null
      const body = { patient: world.id('patient'), grant: which > 1 ? grant : null, grantee }
      return [who, { kind: 'revocation', body }]
    },
    () => {
      const isOwn = random.whole(0, 9) === 0
      const who = isOwn ? 'patient' : pick([...readers, ...readers, 'stranger'])
      const isUsual = random.whole(0, 3) > 0
      const body = {
        record: pick(records.slice(-12)),
        grant: isOwn ? null : grantFor(who),
        certificate: certificates.get(random.whole(0, 19) > 0 ? who : 'nurse') ?? null,
        action: isUsual ? 2 : bit(6),
        purpose: isUsual ? (usual[who] ?? 1) : bit(11),
        commitment: filler(random.whole(0, 255)),
      }
      return [who, { kind: 'access', body }]
    },
    () => {
      const body = { record: pick(records.slice(0, -6)), ground: random.whole(0, 4) }
      return [pick(['patient', 'patient', 'doctor']), { kind: 'erasure', body }, (id) => erasures.push(id)]
    },
    () => {
      const erasure = pick([...erasures, world.id('patient')])
      return [pick([...nodes, 'doctor']), { kind: 'erasure_receipt', body: { erasure, parts: random.whole(1, 7) } }]
    },
    () => {
      const who = pick(['patient', 'patient', 'doctor', 'nurse', 'doctor2'])
      const version = versions.get(who)
      if (!version) throw new Error(`Nobody is called ${who}.`)
      const role: Role = people[who] ?? roles.doctor
      const isNew = random.whole(0, 1) === 1
      const next = isNew ? `${who} at ${at}` : version.signer
      const [from, key] = [signerOf(version.signer).publicKey, signerOf(next).publicKey]
      const proof = signerOf(next).sign(possessionMessage(world.chain, from, key))
      const epoch = version.epoch + pick([0, 1, 1, 2])
      const isPatient = role === roles.patient
      const classKeys = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024].map((one) => {
        const key = epoch === 1 ? filler(one % 251) : filler((one + epoch) % 251)
        return { class: one, epoch, key }
      })
      const change = {
        key,
        keyProof: isNew && random.whole(0, 5) > 0 ? proof : null,
        previous: random.whole(0, 9) > 0 ? version.id : null,
        recovery: null,
        classKeys: isPatient ? classKeys : [],
        custodians: isPatient ? nodes.map(world.id).sort(Buffer.compare) : [],
      }
      return [
        who,
        { kind: 'identity', body: { ...identityBody(who, role), ...change } },
        (id) => versions.set(who, { id, signer: next, epoch }),
      ]
    },
    () => {
      const who = pick(readers)
      const [role, under] = [people[who] ?? roles.doctor, world.certificate('hospital')]
      const until = START + pick([20_000, 2_000_000, NO_END - START])
      const made = certify('hospital', world.id(who), role, under, { at, until }, world.chain)
      if (made.kind !== 'certificate') throw new Error('It is no certificate.')
      return ['hospital', { kind: 'certificate', body: made.body }, (id) => certificates.set(who, id)]
    },
    () => {
      const certificate = certificates.get(pick(readers)) ?? world.id('patient')
      const body = { certificate, reason: random.whole(0, 3), approvals: [] }
      return [pick(['hospital', 'doctor']), { kind: 'certificate_revocation', body }]
    },
    () => ['patient', { kind: 'record', body: { file: world.recordBody().file } }],
  ]
  /** What is usual more often. */
  const often = [0, 0, 0, 0, 1, 1, 1, 2, 3, 4, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 8, 9, 10, 10, 10, 11, 12]

  return Array.from({ length: blocks }, (_, index) => {
    const height = index + 2
    const time = START + height * 1_000
    const transactions: SignedTransaction[] = []
    const results: number[] = []
    for (let count = 0; count < each; count++) {
      at = time - each + count
      const make = makers[pick(often)]
      if (!make) throw new Error('Nothing is to be done.')
      const [who, kindAndBody, keep] = make()
      const transaction = sign(signerName(who), kindAndBody, at, world.chain)
      const overlay = createOverlay(state)
      const [code = 255] = applyAll(overlay, [transaction], { height, time })
      if (code === 0) keep?.(transaction.id.bytes)
      writeChanges(state, overlay.changes())
      transactions.push(transaction)
      results.push(code)
    }
    return { height, time, transactions, results: Uint8Array.from(results) }
  })
}

import { concatBytes } from '@noble/hashes/utils.js'
import { beginState } from '#emrchain/contract/apply.js'
import { decide } from '#emrchain/contract/decide.js'
import { rows, setCount } from '#emrchain/contract/rows.js'
import { createMemoryState, tables } from '#emrchain/contract/state.js'
import { NO_END } from '#emrchain/protocol/consent-vocabulary.js'
import { createRandom } from '../fixtures/random.js'
import { createOracle, type Facts } from './cedar-oracle.js'

export interface Comparison {
  readonly allowed: number
  readonly denied: number
  readonly different: readonly string[]
  /** How often each code was given. */
  readonly codes: Readonly<Record<number, number>>
}

/** An id that is the same in every run. */
const idOf = (number: number): Uint8Array => {
  const id = new Uint8Array(36).fill(number)
  id.set([0x01, 0x71, 0x12, 0x20])
  return id
}
const [PATIENT, OTHER, ACCESSOR, ORGANISATION, RECORD, GRANT, DENY, CERTIFICATE, ABOVE] = [1, 2, 3, 4, 5, 6, 7, 8, 9]
const bitsOf = (mask: number): number[] => [...Array(16).keys()].map((n) => 2 ** n).filter((bit) => (mask & bit) !== 0)
const countsOf = (mask: number): number[] => [...Array(16).keys()].filter((n) => (mask & (1 << n)) !== 0)

/** Asks the contract and Cedar the same random questions. Numbers stay below 2^53. */
export function compareWithOracle(seed: number, rounds: number): Comparison {
  const oracle = createOracle()
  const random = createRandom(seed)
  const pick = <T>(...of: readonly [T, ...T[]]): T => of[random.whole(0, of.length - 1)] ?? of[0]
  /** Mostly what lets a question through, sometimes anything. */
  const mostly = (usual: number, most: number): number => (random.whole(0, 9) < 8 ? usual : random.whole(0, most))
  const bit = (count: number): number => 2 ** random.whole(0, count - 1)
  const codes: Record<number, number> = {}
  const different: string[] = []
  let allowed = 0

  const scope = (deny: number) => {
    const named = random.whole(0, 2) === 0
    return {
      patient: mostly(PATIENT, 1) === PATIENT ? PATIENT : OTHER,
      grantee: pick(ACCESSOR, ACCESSOR, ACCESSOR, ORGANISATION, OTHER),
      roles: mostly(0x1ff, 0x1ff),
      revoked: mostly(0, 1),
      classes: named ? 0 : mostly(0x7ff, 0x7fe) || 1,
      records: named ? pick<number[]>([RECORD], [RECORD], [RECORD], [OTHER]) : [],
      actions: mostly(63, 63),
      purposes: mostly(0x7ff, 0x7ff),
      confidentiality: deny ? 3 : mostly(3, 3),
      sensitivity: deny ? 15 : mostly(15, 15),
      from: mostly(100, 1000),
      until: pick(900, 900, 500, NO_END),
      uses: deny ? 0 : pick(0, 0, 2),
    }
  }
  const factsOf = (from: ReturnType<typeof scope>, deny: number, used: number) => ({
    ...from,
    patient: String(from.patient),
    grantee: String(from.grantee),
    roles: countsOf(from.roles),
    deny: deny === 1,
    revoked: from.revoked === 1,
    endless: from.until === NO_END,
    // What has no end ends after every time here, and Cedar's numbers stay small.
    until: Math.min(from.until, 1_000_000),
    purposes: bitsOf(from.purposes),
    actions: bitsOf(from.actions),
    classes: bitsOf(from.classes),
    records: from.records.map(String),
    sensitivity: bitsOf(from.sensitivity),
    used,
  })

  for (let round = 0; round < rounds; round++) {
    const clinic = random.whole(0, 1)
    const role = random.whole(0, 8)
    const certificate = clinic === 1 || random.whole(0, 1) === 1
    const [revoked, aboveRevoked] = [Number(random.whole(0, 19) === 0), Number(random.whole(0, 19) === 0)]
    const certified = !certificate || (revoked === 0 && aboveRevoked === 0)
    const owner = random.whole(0, 19) === 0
    const who = owner ? PATIENT : ACCESSOR
    const usual: Record<number, [number, number, number]> = {
      0: [512, 2, 2],
      4: [1, 2, 2],
      5: [1, 2, 8],
      6: [8, 2, 64],
      7: [64, 2, 512],
      8: [1024, 16, 2],
    }
    const [usualPurpose, usualAction, usualClass] = usual[role] ?? [1, 2, 2]
    const isUsual = random.whole(0, 2) > 0
    const purpose = isUsual ? usualPurpose : bit(11)
    const act = isUsual ? usualAction : bit(6)
    const author = pick(who, OTHER)
    const record = {
      class: isUsual ? usualClass : bit(11),
      confidentiality: mostly(1, 3),
      sensitivity: mostly(0, 15),
      state: mostly(0, 2),
    }
    const [grant, deny] = [scope(0), scope(1)]
    const hasGrant = random.whole(0, 9) > 0
    const hasDeny = random.whole(0, 3) === 0
    const denyToAll = random.whole(0, 3) === 0
    const used = random.whole(0, 2)
    const time = mostly(300, 1000)

    const state = createMemoryState()
    beginState(state, clinic ? { keys: [], threshold: 1 } : null)
    const identity = { role, version: idOf(who), key: new Uint8Array(32), recovery: null, custodians: [] }
    state.put(tables.identities, idOf(who), rows.identities.encode(identity))
    const above = {
      subject: idOf(ORGANISATION),
      role: 10,
      capabilities: 0,
      from: 0,
      until: NO_END,
      issuer: idOf(OTHER),
    }
    const own = { ...above, subject: idOf(who), role, issuer: idOf(ORGANISATION), under: idOf(ABOVE), revoked }
    state.put(
      tables.certificates,
      idOf(ABOVE),
      rows.certificates.encode({ ...above, under: null, revoked: aboveRevoked }),
    )
    state.put(tables.certificates, idOf(CERTIFICATE), rows.certificates.encode(own))
    state.put(
      tables.records,
      idOf(RECORD),
      rows.records.encode({ ...record, patient: idOf(PATIENT), author: idOf(author) }),
    )
    const rowOf = (from: ReturnType<typeof scope>, deny: number, grantee: Uint8Array | null) =>
      rows.grants.encode({
        ...from,
        patient: idOf(from.patient),
        grantee,
        author: idOf(from.patient),
        number: 1,
        deny,
        records: from.records.map(idOf),
      })
    state.put(tables.grants, idOf(GRANT), rowOf(grant, 0, idOf(grant.grantee)))
    setCount(state, tables.uses, idOf(GRANT), used)
    if (hasDeny && deny.revoked === 0) {
      const grantee = denyToAll ? null : idOf(deny.grantee)
      state.put(tables.grants, idOf(DENY), rowOf(deny, 1, grantee))
      const key = grantee ? concatBytes(idOf(deny.patient), grantee) : idOf(deny.patient)
      state.put(tables.denies, key, rows.denies.encode({ grants: [idOf(DENY)] }))
    }
    const code = decide(
      state,
      {
        accessor: idOf(who),
        certificate: certificate ? idOf(CERTIFICATE) : null,
        record: idOf(RECORD),
        grant: hasGrant ? idOf(GRANT) : null,
        action: act,
        purpose,
      },
      time,
    )
    codes[code] = (codes[code] ?? 0) + 1
    const facts: Facts = {
      who: String(who),
      organisation: certificate ? String(ORGANISATION) : 'none',
      certified,
      role,
      time,
      purpose,
      act,
      record: String(RECORD),
      exists: record.state !== 2,
      patient: String(PATIENT),
      author: String(author),
      class: record.class,
      confidentiality: record.confidentiality,
      sensitivity: bitsOf(record.sensitivity),
      hasGrant,
      grant: factsOf(grant, 0, used),
      hasDeny,
      deny: { ...factsOf(deny, 1, 0), grantee: denyToAll ? '' : String(deny.grantee) },
    }
    const isAllowed = oracle(facts)
    if (isAllowed) allowed++
    if (isAllowed !== (code === 0)) different.push(`${code}: ${JSON.stringify(facts)}`)
  }
  return { allowed, denied: rounds - allowed, different, codes }
}

import { createHash } from 'node:crypto'
import { beginState } from '#emrchain/contract/apply.js'
import { decide, type Question } from '#emrchain/contract/decide.js'
import { rows, setCount } from '#emrchain/contract/rows.js'
import { createMemoryState, type MemoryState, tables } from '#emrchain/contract/state.js'
import { actions, purposes, roles } from '#emrchain/protocol/consent-vocabulary.js'
import { type Benchmark, figure } from './figures.js'

const [HOSPITALS, STAFF, PATIENTS, RECORDS, GRANTS, DENIES, VISITS] = [20, 500, 2_000, 10, 10, 2, 5_000] as const
/** Files that a ward opens again and again; decisions of one run. */
const [WARD, DECISIONS] = [40, 500_000]
const [NOW, UNTIL] = [1_767_225_600_000, 1_798_761_600_000]

/** An id that is the same in every run; each call gives bytes of its own, as those of a request are. */
const id = (name: string): Uint8Array =>
  Uint8Array.from([0x01, 0x71, 0x12, 0x20, ...createHash('sha256').update(name).digest()])

/** Numbers that are the same in every run (a linear congruential generator; its high bits). */
let seed = 1
const below = (count: number): number => {
  seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0
  return Math.floor((seed / 2 ** 32) * count)
}

const hospitalOf = (person: number): number => person % HOSPITALS
const roleOf = (person: number) => (person % 3 === 0 ? roles.nurse : roles.doctor)
const classOf = (record: number): number => 2 ** (record % 5)
/** Of a patient's grants every fifth is to a hospital, every tenth has a limit on uses, every fourth names one record. */
const granteeOf = (grant: number, person: number): string =>
  grant % 5 === 0 ? `hospital ${hospitalOf(person)}` : `person ${person}`

/** Hospitals with certified staff; patients with records, grants to some of the staff, and denies to others. */
function furnish(state: MemoryState): Question[] {
  beginState(state, { keys: [], threshold: 1 })
  const certificate = { capabilities: 0, from: 0, until: UNTIL, revoked: 0 }
  for (let at = 0; at < HOSPITALS; at++) {
    const subject = {
      subject: id(`hospital ${at}`),
      role: roles.organisation,
      issuer: id('administrator'),
      under: null,
    }
    state.put(tables.certificates, id(`license ${at}`), rows.certificates.encode({ ...certificate, ...subject }))
  }
  for (let at = 0; at < STAFF; at++) {
    const issued = { issuer: id(`hospital ${hospitalOf(at)}`), under: id(`license ${hospitalOf(at)}`) }
    const subject = { subject: id(`person ${at}`), role: roleOf(at), ...issued }
    state.put(tables.certificates, id(`certificate ${at}`), rows.certificates.encode({ ...certificate, ...subject }))
  }
  const grantees = Array.from({ length: PATIENTS * GRANTS }, () => below(STAFF))
  const limits = {
    roles: 0x1dff,
    revoked: 0,
    confidentiality: 3,
    sensitivity: 15,
    from: 0,
    until: UNTIL,
    purposes: 0x7ff,
  }
  for (let patient = 0; patient < PATIENTS; patient++) {
    const by = { patient: id(`patient ${patient}`), author: id(`patient ${patient}`) }
    for (let at = 0; at < RECORDS; at++) {
      const written = {
        ...by,
        class: classOf(at),
        confidentiality: at % 3,
        sensitivity: at % 7 === 0 ? 1 : 0,
        state: 0,
      }
      state.put(tables.records, id(`record ${patient} ${at}`), rows.records.encode(written))
    }
    for (let at = 0; at < GRANTS; at++) {
      const person = grantees[patient * GRANTS + at] ?? 0
      const scope =
        at % 4 === 0 ? { classes: 0, records: [id(`record ${patient} ${at}`)] } : { classes: 0x7ff, records: [] }
      const row = {
        ...by,
        ...limits,
        ...scope,
        grantee: id(granteeOf(at, person)),
        number: at + 1,
        deny: 0,
        actions: 11,
      }
      const grant = id(`grant ${patient} ${at}`)
      state.put(tables.grants, grant, rows.grants.encode({ ...row, uses: at === 3 ? 100 : 0 }))
      if (at === 3) setCount(state, tables.uses, grant, patient % 101)
    }
    for (let at = 0; at < DENIES; at++) {
      const [grantee, deny] = [id(`person ${below(STAFF)}`), id(`deny ${patient} ${at}`)]
      const row = { ...by, ...limits, grantee, number: GRANTS + at, deny: 1, classes: 0x7ff, records: [], actions: 2 }
      state.put(tables.grants, deny, rows.grants.encode({ ...row, uses: 0 }))
      const key = Uint8Array.from([...by.patient, ...grantee])
      state.put(tables.denies, key, rows.denies.encode({ grants: [deny] }))
    }
    // Each tenth patient has ended the first three grants at once.
    if (patient % 10 === 0) setCount(state, tables.cutoffs, id(`patient ${patient}`), 3)
  }
  // Somebody of the staff opens a patient's file: one question about each record.
  return Array.from({ length: VISITS }, () => {
    const [patient, grant] = [below(PATIENTS), below(GRANTS)]
    const person = grantees[patient * GRANTS + grant] ?? 0
    const [accessor, certificate] = [id(`person ${person}`), id(`certificate ${person}`)]
    const action = below(8) > 0 ? actions.READ : actions.APPEND
    const purpose = below(16) > 0 ? 1 : purposes.HRESCH
    const named = id(`grant ${patient} ${grant}`)
    // Written out, as a handler does: objects that are put together from others have many shapes, and are read slower.
    return Array.from({ length: RECORDS }, (_, at) => {
      return { accessor, certificate, record: id(`record ${patient} ${at}`), grant: named, action, purpose }
    })
  }).flat()
}

/** Decisions a second over a state in memory, one thread: about patients anywhere, and about those of one ward. */
export const decideBenchmark: Benchmark = async ({ runs, say }) => {
  const state = createMemoryState()
  const questions = furnish(state)
  const expected = questions.map((question) => decide(state, question, NOW))
  const accepted = expected.filter((code) => code === 0).length
  say(`decide: ${accepted} of ${expected.length} are accepted, the others have ${new Set(expected).size - 1} codes`)
  /** Decisions a second where the first `count` questions are asked again and again, `DECISIONS` in all. */
  const rateOf = (count: number): number => {
    const asked = questions.slice(0, count)
    let wrong = 0
    const began = process.cpuUsage()
    for (let round = 0; round < DECISIONS / count; round++) {
      for (const [at, question] of asked.entries()) if (decide(state, question, NOW) !== expected[at]) wrong++
    }
    const rate = DECISIONS / secondsSince(began)
    if (wrong > 0) throw new Error(`${wrong} decisions are other than before.`)
    return rate
  }
  const reference = lookUpsOf(questions)
  const [anywhere, ward, bare]: [number[], number[], number[]] = [[], [], []]
  for (let run = 0; run < runs; run++) {
    anywhere.push(rateOf(questions.length))
    ward.push(rateOf(WARD * RECORDS))
    bare.push(reference())
    say(`decide: run ${run + 1} of ${runs}: ${anywhere.at(-1)?.toFixed(0)} decisions/s for any patient`)
  }
  return [
    figure('decisions a second of processor time, any patient', '1/s', anywhere),
    figure(`the same, ${WARD} files of a ward`, '1/s', ward),
    figure('reference: single look-ups of the same records in a Map, by their ids as text', '1/s', bare),
    figure(
      'one decision for any patient takes as long as',
      'look-ups',
      anywhere.map((rate, run) => (bare[run] ?? Number.NaN) / rate),
    ),
  ]
}

/** What measures how often a second a bare Map finds one of these records: a decision makes nine look-ups and reads what they find. */
function lookUpsOf(questions: readonly Question[]): () => number {
  const textOf = ({ record }: Question): string =>
    record instanceof Uint8Array ? Buffer.from(record).toString('latin1') : ''
  const known = new Map(questions.map((question, at) => [textOf(question), at]))
  const asked = questions.map(textOf)
  return () => {
    let missing = 0
    const began = process.cpuUsage()
    for (let round = 0; round < DECISIONS / asked.length; round++) {
      for (const text of asked) if (!known.has(text)) missing++
    }
    const rate = DECISIONS / secondsSince(began)
    if (missing > 0) throw new Error(`${missing} records are not there.`)
    return rate
  }
}

/** Of the processor's time, all threads of this process: to wait for a busy machine does not count. */
function secondsSince(began: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(began)
  return (user + system) / 1e6
}

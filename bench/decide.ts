import { beginState } from '#emrchain/contract/apply.js'
import { decide } from '#emrchain/contract/decide.js'
import { rows } from '#emrchain/contract/rows.js'
import { createMemoryState, tables } from '#emrchain/contract/state.js'
import { type Benchmark, figure } from './figures.js'

const id = (number: number): Uint8Array => {
  const bytes = new Uint8Array(36)
  bytes.set([1, 0x71, 0x12, 0x20, number >> 16, (number >> 8) & 255, number & 255])
  return bytes
}

/** Decisions a second over a state in memory: many doctors with a certificate, a record and a grant each. */
export const decideBenchmark: Benchmark = async ({ runs }) => {
  const PEOPLE = 1_000
  const DECISIONS = 500_000
  const state = createMemoryState()
  beginState(state, { keys: [], threshold: 1 })
  const [patient, hospital, above] = [id(1), id(2), id(3)]
  const until = 10_000
  const certificate = {
    subject: hospital,
    role: 10,
    capabilities: 0,
    from: 0,
    until,
    issuer: id(4),
    under: null,
    revoked: 0,
  }
  state.put(tables.certificates, above, rows.certificates.encode(certificate))
  const questions = Array.from({ length: PEOPLE }, (_, at) => {
    const [accessor, own, record, grant] = [id(65_536 + at), id(131_072 + at), id(196_608 + at), id(262_144 + at)]
    const certified = { ...certificate, subject: accessor, role: 2, issuer: hospital, under: above }
    state.put(tables.certificates, own, rows.certificates.encode(certified))
    const written = { patient, class: 2, confidentiality: 1, sensitivity: 0, author: patient, state: 0 }
    state.put(tables.records, record, rows.records.encode(written))
    const limits = {
      roles: 4,
      classes: 2,
      actions: 2,
      purposes: 1,
      confidentiality: 3,
      sensitivity: 15,
      from: 0,
      until,
      uses: 0,
    }
    const row = {
      patient,
      grantee: accessor,
      author: patient,
      number: at + 1,
      deny: 0,
      revoked: 0,
      ...limits,
      records: [],
    }
    state.put(tables.grants, grant, rows.grants.encode(row))
    return { accessor, certificate: own, record, grant, action: 2, purpose: 1 }
  })
  const rates: number[] = []
  for (let run = 0; run < runs; run++) {
    const began = performance.now()
    for (let at = 0; at < DECISIONS; at++) {
      const question = questions[at % PEOPLE]
      if (!question || decide(state, question, 100) !== 0) throw new Error('A decision is wrong.')
    }
    rates.push(DECISIONS / ((performance.now() - began) / 1000))
  }
  return [figure('decisions of certified doctors, state in memory', '1/s', rates)]
}

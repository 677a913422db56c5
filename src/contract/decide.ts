import { equalBytes } from '../protocol/canonical.js'
import { actions, NO_END } from '../protocol/consent-vocabulary.js'
import { type Actor, actorOf } from './actor.js'
import { ceilingOf } from './ceilings.js'
import { codes, type ResultCode } from './result-codes.js'
import { countOf, deniesOf, grantOf, pairOf, recordOf } from './rows.js'
import { type ReadState, tables } from './state.js'

/** A record that is to be written, as far as consent looks at it. */
export interface NewRecord {
  readonly patient: Uint8Array
  readonly class: number
  readonly confidentiality: number
  readonly sensitivity: number
}

/** What is asked: may `accessor`, in the role of `certificate`, do this under `grant`? */
export interface Question {
  readonly accessor: Uint8Array
  /** Null where the accessor acts in the role that it gave itself. */
  readonly certificate: Uint8Array | null
  /** The id of a record; or one that is to be written. */
  readonly record: Uint8Array | NewRecord
  readonly grant: Uint8Array | null
  /** One bit each. */
  readonly action: number
  readonly purpose: number
}

type GrantRow = NonNullable<ReturnType<typeof grantOf>>
/** A record as far as consent looks at it, and who wrote it; a new one has no author yet. */
interface Target extends NewRecord {
  readonly author: Uint8Array | null
}

/** Whether a list names the record that is asked about; a new one has no id yet. */
const names = (ids: readonly Uint8Array[], { record }: Question): boolean =>
  ids.length > 0 && record instanceof Uint8Array && ids.some((id) => equalBytes(id, record))

/**
 * Whether consent allows it at a time: 0, or the first reason against it in the order of docs/protocol.md, "Decision".
 * Only the named grant is looked at, and the denies of the patient to the accessor, to its organisation and to
 * everybody. What nothing allows is not allowed.
 */
export function decide(state: ReadState, question: Question, time: number): ResultCode {
  const { accessor, certificate } = question
  const actor = actorOf(state, accessor, certificate, time)
  if (!actor) return codes.no_role
  const target = targetOf(state, question.record)
  if (!target) return codes.no_record
  if (equalBytes(target.patient, accessor)) return codes.accepted
  if (isDenied(state, question, target, actor, time)) return codes.denied
  const grant = question.grant && grantOf(state, question.grant)
  if (!question.grant || !grant || !isFor(grant, target.patient, accessor, actor)) return codes.no_grant
  if (isRevoked(state, grant)) return codes.revoked
  if (time < grant.from || time >= grant.until) return codes.out_of_time
  if ((grant.purposes & question.purpose) === 0) return codes.wrong_purpose
  if (!reaches(grant, question, target)) return codes.out_of_scope
  if ((grant.actions & question.action) === 0) return codes.wrong_action
  if (isAboveCeiling(grant, target, question, actor.role)) return codes.above_ceiling
  if (grant.uses > 0 && countOf(state, tables.uses, question.grant) >= grant.uses) return codes.used_up
  return codes.accepted
}

function targetOf(state: ReadState, record: Uint8Array | NewRecord): Target | undefined {
  if (!(record instanceof Uint8Array)) return { ...record, author: null }
  const found = recordOf(state, record)
  return found && found.state !== 2 ? found : undefined
}

function isDenied(state: ReadState, question: Question, target: Target, actor: Actor, time: number): boolean {
  const { patient } = target
  const { organisation } = actor
  return (
    doesOneForbid(state, deniesOf(state, patient, question.accessor), question, target, actor, time) ||
    doesOneForbid(state, deniesOf(state, patient, null), question, target, actor, time) ||
    (organisation !== null &&
      doesOneForbid(state, deniesOf(state, patient, organisation), question, target, actor, time))
  )
}

function doesOneForbid(
  state: ReadState,
  denies: readonly Uint8Array[],
  question: Question,
  target: Target,
  actor: Actor,
  time: number,
): boolean {
  for (const id of denies) {
    const deny = grantOf(state, id)
    if (deny && forbids(deny, question, target, actor, time)) return true
  }
  return false
}

function forbids(deny: GrantRow, question: Question, target: Target, { role }: Actor, time: number): boolean {
  if (time < deny.from || time >= deny.until) return false
  const { action, purpose } = question
  const isAbout = (deny.classes & target.class) !== 0 || names(deny.records, question)
  return isAbout && (deny.actions & action) !== 0 && (deny.purposes & purpose) !== 0 && isOfRole(deny, role)
}

const isOfRole = (grant: GrantRow, role: number): boolean => (grant.roles & (1 << role)) !== 0

/** Whether a grant is this patient's to this accessor or its organisation, in this role. */
function isFor(grant: GrantRow, patient: Uint8Array, accessor: Uint8Array, actor: Actor): boolean {
  if (grant.deny !== 0 || !grant.grantee || !equalBytes(grant.patient, patient) || !isOfRole(grant, actor.role))
    return false
  return (
    equalBytes(grant.grantee, accessor) ||
    (actor.organisation !== null && equalBytes(grant.grantee, actor.organisation))
  )
}

/** Whether a grant was revoked: by name, with all of its grantee's, or with all of the patient's. Denies only by name. */
export function isRevoked(state: ReadState, grant: GrantRow): boolean {
  if (grant.revoked !== 0) return true
  if (grant.deny !== 0 || !grant.grantee) return false
  return (
    grant.number <= countOf(state, tables.cutoffs, grant.patient) ||
    grant.number <= countOf(state, tables.cutoffs, pairOf(grant.patient, grant.grantee))
  )
}

function reaches(grant: GrantRow, question: Question, target: Target): boolean {
  const isAbout = (grant.classes & target.class) !== 0 || names(grant.records, question)
  const isWithin = target.confidentiality <= grant.confidentiality && (target.sensitivity & ~grant.sensitivity) === 0
  return isAbout && isWithin
}

function isAboveCeiling(
  grant: GrantRow,
  target: Target,
  { accessor, action, purpose }: Question,
  role: number,
): boolean {
  const most = ceilingOf(role)
  const how = grant.classes === 0 ? 1 : 0
  if ((most.purposes & purpose) === 0 || (most.actions & action) === 0) return true
  if ((most.classes[how] & target.class) === 0 || target.confidentiality > most.confidentiality[how]) return true
  if ((target.sensitivity & ~most.sensitivity[how]) !== 0) return true
  if (most.ends && grant.until === NO_END) return true
  return most.ownOnly && action !== actions.APPEND && !(target.author && equalBytes(target.author, accessor))
}

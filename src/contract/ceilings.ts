import {
  actions,
  EVERY_ACTION,
  EVERY_CLASS,
  EVERY_PURPOSE,
  EVERY_SENSITIVITY,
  purposes,
  type Role,
  recordClasses,
  roles,
} from '../protocol/consent-vocabulary.js'

/** What a role can get at most, whatever a patient grants; docs/protocol.md has the same table, a test compares. */
export interface Ceiling {
  readonly purposes: number
  readonly actions: number
  /** Classes that it can reach by a grant for classes, and by one that names records. */
  readonly classes: readonly [byClass: number, named: number]
  readonly confidentiality: readonly [byClass: number, named: number]
  readonly sensitivity: readonly [byClass: number, named: number]
  /** Whether the grant has to have an end. */
  readonly ends: boolean
  /** Whether it reads only what it has written itself. */
  readonly ownOnly: boolean
}

const { LIST, READ, DOWNLOAD, APPEND, VERIFY } = actions
const ALL = EVERY_SENSITIVITY

const ceiling = (fields: Partial<Ceiling>): Ceiling => ({
  purposes: 0,
  actions: 0,
  classes: [EVERY_CLASS, EVERY_CLASS],
  confidentiality: [3, 3],
  sensitivity: [ALL, ALL],
  ends: false,
  ownOnly: false,
  ...fields,
})
const none = ceiling({ classes: [0, 0], confidentiality: [0, 0], sensitivity: [0, 0] })
const both = (value: number): readonly [number, number] => [value, value]

const table: { readonly [R in keyof typeof roles]: Ceiling } = {
  patient: ceiling({ purposes: purposes.PATRQT, actions: LIST | READ | DOWNLOAD }),
  delegate: ceiling({ purposes: EVERY_PURPOSE, actions: EVERY_ACTION, confidentiality: [1, 3], ends: true }),
  doctor: ceiling({
    purposes: purposes.TREAT | purposes.ETREAT | purposes.BTG | purposes.HOPERAT,
    actions: LIST | READ | DOWNLOAD | APPEND,
    confidentiality: [2, 3],
  }),
  nurse: ceiling({ purposes: purposes.TREAT, actions: LIST | READ | APPEND, confidentiality: both(2) }),
  laboratory_technician: ceiling({
    purposes: purposes.TREAT,
    actions: READ | APPEND,
    classes: both(recordClasses.lab | recordClasses.imaging),
    confidentiality: both(2),
    ownOnly: true,
  }),
  pharmacist: ceiling({
    purposes: purposes.TREAT,
    actions: LIST | READ | APPEND,
    classes: both(recordClasses.medication | recordClasses.allergy),
    confidentiality: both(2),
  }),
  insurance_agent: ceiling({
    purposes: purposes.HPAYMT | purposes.COVERAGE,
    actions: LIST | READ,
    classes: [recordClasses.claim, EVERY_CLASS],
    confidentiality: [1, 2],
    sensitivity: [0, ALL],
  }),
  researcher: ceiling({
    purposes: purposes.HRESCH | purposes.CLINTRCH,
    actions: READ,
    classes: both(recordClasses.deid),
    confidentiality: both(1),
    sensitivity: both(0),
    ends: true,
  }),
  auditor: ceiling({ purposes: purposes.HCOMPL, actions: LIST | VERIFY }),
  organisation: none,
  administrator: none,
  node: none,
}

export const ceilings = table

const byRole = new Map<number, Ceiling>(
  Object.entries(roles).map(([name, role]) => [role, table[name as keyof typeof roles]]),
)

/** The ceiling of a role by its number; nothing at all for a number that is no role. */
export const ceilingOf = (role: Role | number): Ceiling => byRole.get(role) ?? none

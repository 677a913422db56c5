/**
 * The words of the consent contract as numbers (docs/protocol.md, "Consent"). Roles and confidentiality
 * are counted; the rest are bits, so that a set of them is one integer.
 */

export const roles = {
  patient: 0,
  delegate: 1,
  doctor: 2,
  nurse: 3,
  laboratory_technician: 4,
  pharmacist: 5,
  insurance_agent: 6,
  researcher: 7,
  auditor: 8,
  organisation: 10,
  administrator: 11,
  node: 12,
} as const
export type Role = (typeof roles)[keyof typeof roles]

const roleNames = new Map<number, string>(Object.entries(roles).map(([name, role]) => [role, name]))

/** The word for a role. */
export const roleName = (role: number): string => roleNames.get(role) ?? `role ${role}`
/** The role of a word; undefined of a word that is none. */
export const roleNamed = (name: string): Role | undefined =>
  Object.entries(roles).find(([known]) => known === name)?.[1]

export const purposes = {
  TREAT: 1,
  ETREAT: 2,
  BTG: 4,
  HPAYMT: 8,
  COVERAGE: 16,
  HOPERAT: 32,
  HRESCH: 64,
  CLINTRCH: 128,
  PUBHLTH: 256,
  PATRQT: 512,
  HCOMPL: 1024,
} as const

export const actions = { LIST: 1, READ: 2, DOWNLOAD: 4, APPEND: 8, VERIFY: 16, REGRANT: 32 } as const

export const recordClasses = {
  note: 1,
  lab: 2,
  imaging: 4,
  medication: 8,
  allergy: 16,
  immunisation: 32,
  claim: 64,
  genetic: 128,
  document: 256,
  deid: 512,
  unspecified: 1024,
} as const

/** From least to most: a limit admits what is at most as confidential. */
export const confidentiality = { low: 0, normal: 1, restricted: 2, very_restricted: 3 } as const
export const sensitivities = { PSY: 1, HIV: 2, SDV: 4, ETH: 8 } as const
/** What a certificate allows besides its role: to mine, to keep shares, to act in an emergency. */
export const capabilities = { mine: 1, custody: 2, emergency: 4 } as const
/** Why a certificate is revoked. */
export const revocationReasons = { unspecified: 0, key_compromised: 1, left: 2, superseded: 3 } as const
/** Why a record is erased: GDPR Art. 17(1). */
export const erasureGrounds = {
  unspecified: 0,
  consent_withdrawn: 1,
  no_longer_needed: 2,
  objection: 3,
  unlawful: 4,
} as const
/** What a node says that it has destroyed. */
export const erasedParts = { share: 1, label: 2, ciphertext: 4 } as const

export const EVERY_ROLE = 0x1dff
export const EVERY_PURPOSE = 0x7ff
export const EVERY_ACTION = 0x3f
export const EVERY_CLASS = 0x7ff
export const EVERY_SENSITIVITY = 0xf
export const EVERY_CAPABILITY = 0x7
export const EVERY_PART = 0x7
/** `until` of what has no end, in ms: the last time that there is. */
export const NO_END = Number.MAX_SAFE_INTEGER

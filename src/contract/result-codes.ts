/**
 * What the contract makes of a transaction, one byte each (docs/protocol.md, "Results"; a test compares the tables). 0 has
 * effect; all others change nothing. Those of 20 to 39 are also what `decide` answers.
 */
export const resultCodes = {
  accepted: [0, 'It has effect.'],
  unknown_author: [1, 'The key of the author is not the current key of an identity.'],
  key_taken: [2, 'A key belongs to an identity already, or is not new.'],
  proof_missing: [3, 'A new key does not prove that its owner agrees.'],
  wrong_predecessor: [4, 'The version before is not the latest of this identity.'],
  role_changed: [5, 'An identity keeps its role.'],
  wrong_epoch: [6, 'The epoch of a class key is not the current one or the next.'],
  node_unknown: [7, 'A custodian is not an identity of a node.'],
  not_entitled: [8, 'The author may not do this.'],
  threshold_missed: [9, 'Too few administrators signed.'],
  subject_unknown: [10, 'Whom it names is not an identity.'],
  role_forbidden: [11, 'An issuer of this kind cannot certify this role.'],
  certificate_unknown: [12, 'The certificate is not there or revoked already.'],
  administrators_too_few: [13, 'Fewer administrators would be left than the threshold.'],
  grant_unknown: [14, 'The grant is not there, is of another patient, or is revoked already.'],
  too_many_denies: [15, 'Too many denies stand for this patient and grantee; revoke one first.'],
  receipts_too_few: [16, 'Too few custodians of the patient signed that they keep the share.'],
  approval_missing: [17, 'A doctor has to sign under what a laboratory technician amends.'],
  wrong_supersedes: [18, 'The record that it replaces is not a current one of this patient and class.'],
  bare_record: [19, 'This network takes records under consent only.'],
  no_role: [20, 'The accessor is unknown, or has no valid certificate of this name.'],
  no_record: [21, 'The record is not there, or is erased.'],
  denied: [30, 'The patient forbids it.'],
  revoked: [31, 'The grant is revoked.'],
  out_of_time: [32, 'The grant is not in force at this time.'],
  wrong_purpose: [33, 'The grant is for other purposes.'],
  out_of_scope: [34, 'The grant does not reach this record.'],
  wrong_action: [35, 'The grant does not allow this action.'],
  above_ceiling: [36, 'This role can never do this.'],
  used_up: [37, 'The grant has been used as often as it allows.'],
  no_grant: [39, 'No grant of this patient to this accessor in this role is named.'],
  erasure_unknown: [50, 'The erasure is not there.'],
  receipt_known: [51, 'This node has given its receipt.'],
} as const satisfies Record<string, readonly [number, string]>

export type ResultName = keyof typeof resultCodes
export type ResultCode = (typeof resultCodes)[ResultName][0]

/** The byte of a result. */
export const codeOf = (name: ResultName): ResultCode => resultCodes[name][0]

/** The bytes of all results: where one is given a million times a second, `codes.denied` is a constant to the engine. */
export const codes = Object.fromEntries(Object.entries(resultCodes).map(([name, [code]]) => [name, code])) as {
  readonly [N in ResultName]: (typeof resultCodes)[N][0]
}

const names = new Map<number, ResultName>(
  Object.entries(resultCodes).map(([name, [code]]) => [code, name as ResultName]),
)

/** The name of a result. @throws Error for a byte that is none */
export function nameOfCode(code: number): ResultName {
  const name = names.get(code)
  if (!name) throw new Error(`No result has code ${code}.`)
  return name
}

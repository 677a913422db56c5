import { CommanderError } from 'commander'
import { type ErrorCode, isEmrError } from '../errors.js'

/** What the exit code of `emrchain` says; `emrchain --help` shows the same. */
export const exitCodes = {
  ok: { code: 0, meaning: 'it is done' },
  failed: { code: 1, meaning: 'it failed' },
  usage: { code: 2, meaning: 'the command line or the configuration is wrong' },
  node: { code: 3, meaning: 'no node answers' },
  missing: { code: 4, meaning: 'there is no such record, file or key' },
  refused: { code: 5, meaning: 'the rules refuse it, or a check failed' },
  wallet: { code: 6, meaning: 'the wallet or a key cannot be opened' },
  exists: { code: 7, meaning: 'something is there already and was left as it is' },
  interrupted: { code: 130, meaning: 'it was interrupted' },
} as const satisfies Record<string, { code: number; meaning: string }>

type Outcome = keyof typeof exitCodes

/** Codes that are named here stand for an outcome of their own; `isRefusal` knows the many of the rules. */
const outcomes: Partial<Record<ErrorCode, Outcome>> = {
  usage: 'usage',
  config_invalid: 'usage',
  invalid_network: 'usage',
  peer_bad_address: 'usage',
  bad_request: 'usage',
  name_unfit: 'usage',
  node_unreachable: 'node',
  node_broke_off: 'node',
  node_unexpected: 'node',
  closing: 'node',
  not_found: 'missing',
  file_unknown: 'missing',
  file_unavailable: 'missing',
  file_unpinned: 'missing',
  file_last_copy: 'refused',
  path_not_found: 'missing',
  input_unreadable: 'missing',
  folder_unfit: 'refused',
  folder_malformed: 'refused',
  key_missing: 'missing',
  transaction_unknown: 'missing',
  block_unknown: 'missing',
  demo_image_missing: 'missing',
  wallet_missing: 'wallet',
  wallet_malformed: 'wallet',
  wallet_in_use: 'wallet',
  recovery_malformed: 'wallet',
  passphrase_wrong: 'wallet',
  passphrase_missing: 'wallet',
  passphrase_mismatch: 'wallet',
  key_malformed: 'wallet',
  wallet_exists: 'exists',
  output_exists: 'exists',
  folder_not_empty: 'exists',
  cancelled: 'interrupted',
  token_required: 'refused',
  reader_unsigned: 'refused',
  reader_not_certified: 'refused',
  too_many_requests: 'refused',
  token_file_invalid: 'wallet',
  token_in_clear: 'usage',
  node_untrusted: 'refused',
  other_network: 'refused',
  unsupported_version: 'refused',
  clear_label_forbidden: 'refused',
  record_without_consent: 'refused',
  chain_damaged: 'refused',
  data_folder_other_network: 'refused',
  node_key_wrong: 'refused',
  wrong_cid: 'refused',
  file_damaged: 'refused',
  range_unsatisfiable: 'missing',
  prototype_malformed: 'refused',
  backup_malformed: 'refused',
  identity_missing: 'missing',
  identity_exists: 'exists',
  contact_unknown: 'missing',
  contact_exists: 'exists',
  consent_missing: 'refused',
  consent_unfit: 'refused',
  custodian_unknown: 'missing',
  custodian_not_certified: 'refused',
  custodian_unreachable: 'node',
  custodians_disagree: 'refused',
  record_unknown: 'missing',
  record_erased: 'missing',
  share_unknown: 'missing',
  release_denied: 'refused',
  release_frozen: 'refused',
  access_unacknowledged: 'refused',
  secret_missing: 'wallet',
  seal_wrong: 'wallet',
  identity_unknown: 'missing',
  certificate_unknown: 'missing',
  not_an_authority: 'refused',
  certificate_foreign: 'refused',
  certificate_revoked: 'refused',
  certificate_expired: 'refused',
  certificate_unfit: 'refused',
  certificate_stale: 'refused',
  certificate_chain_broken: 'refused',
  identity_key_wrong: 'wallet',
}

const isRefusal = (code: ErrorCode): boolean =>
  /^(transaction|header|block|cipher|malformed|car)_/.test(code) && code !== 'cipher_too_large'

/** The exit code that an error stands for. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : exitCodes.usage.code
  if (!isEmrError(error)) return exitCodes.failed.code
  const outcome = outcomes[error.code] ?? (isRefusal(error.code) ? 'refused' : 'failed')
  return exitCodes[outcome].code
}

/**
 * The catalogue of everything that can go wrong, the one place where an error gets its name.
 * docs/errors.md lists the same codes; a test compares the two. HTTP status codes are decided in
 * http/, exit codes in cli/.
 */

/**
 * What the sender of a block or transaction deserves for it.
 * - `ignore`: nothing is held against the sender; the item may become valid later.
 * - `reject`: the item is refused; an honest sender can have sent it.
 * - `penalise`: no honest node of this network sends this.
 */
export type Verdict = 'ignore' | 'reject' | 'penalise'

interface Entry {
  readonly sentence: string
  readonly verdict?: Verdict
}

const entry = (sentence: string, verdict?: Verdict): Entry => (verdict ? { sentence, verdict } : { sentence })

export const errors = {
  // Requests
  bad_request: entry('The request is not of the form that this call takes.'),
  not_found: entry('There is nothing at this address.'),
  method_not_allowed: entry('This address does not take this method.'),
  unsupported_media_type: entry('The content type is not one that this call takes.'),
  not_acceptable: entry('The answer is not given in any form that the request accepts.'),
  not_cached: entry('The request wants only what is here already, and it is not.'),
  range_unsatisfiable: entry('No byte of what is asked for lies in this range.'),
  body_too_large: entry('The request is larger than this call takes.'),
  headers_too_large: entry('The address and headers of the request are larger than the node takes.'),
  request_timeout: entry('The headers of the request did not come in time.'),
  foreign_host: entry('The Host header names another server than this node.'),
  foreign_origin: entry('Another web page asked for this; the node answers only itself.'),
  token_required: entry('From here this call needs the token of the node.'),
  too_many_requests: entry('This address has sent more requests than the node takes in a minute.'),
  token_file_invalid: entry('The token file is not one that may be used.'),
  token_in_clear: entry('A token is not sent over plain HTTP to another machine.'),
  cancelled: entry('The request was cancelled before it was done.'),
  closing: entry('The node is closing.'),
  internal: entry('The node failed in a way that it does not name; its log says more.'),

  // Encoding
  malformed_cbor: entry('The bytes are not canonical DAG-CBOR.', 'penalise'),
  malformed_cid: entry('The text or bytes are not a CID of a supported form.', 'penalise'),
  malformed_car: entry('The bytes are not a well-formed CARv1.', 'penalise'),
  wrong_cid: entry('The bytes do not match the CID that names them.', 'penalise'),

  // Network parameters
  invalid_network: entry('The network parameters are not valid.'),
  unsupported_version: entry('This is of a newer protocol version than this node knows.', 'ignore'),
  other_network: entry('This belongs to another network.', 'penalise'),

  // Transactions
  transaction_malformed: entry('The transaction is not of the form that the protocol gives its kind.', 'penalise'),
  transaction_too_large: entry('The transaction is over the size limit of the network.', 'penalise'),
  transaction_bad_key: entry('The key of the signer is not a valid Ed25519 key.', 'penalise'),
  transaction_bad_signature: entry('The signature does not belong to this transaction and key.', 'penalise'),
  transaction_known: entry('The transaction is on the chain or pending already.', 'ignore'),
  transaction_from_future: entry('The transaction is dated later than the clock of this node allows.', 'ignore'),
  clear_label_forbidden: entry('This network takes no labels in clear.', 'penalise'),
  mempool_full: entry('The node holds as many pending transactions as it may; try again after a block.', 'ignore'),
  mempool_key_full: entry('As many transactions of this key are pending as may be; try again after a block.', 'ignore'),
  mempool_source_full: entry(
    'As many transactions of this sender are pending as may be; try again after a block.',
    'ignore',
  ),
  identity_unknown: entry('There is no such identity on the chain.'),
  transaction_unknown: entry('No transaction of this id is on the chain or pending.'),

  // Headers
  header_malformed: entry('The header is not 180 bytes of the form that the protocol gives.', 'penalise'),
  header_wrong_height: entry('The height is not one more than that of the parent.', 'penalise'),
  header_wrong_target: entry('The target is not the one that the difficulty rule demands.', 'penalise'),
  header_bad_target: entry('The compact target is negative, zero, too large or not normalised.', 'penalise'),
  header_insufficient_work: entry('The hash of the header is above its target.', 'penalise'),
  header_time_too_early: entry('The time is not later than that of the parent.', 'penalise'),
  header_time_too_late: entry('The time is more than 120 s ahead of the clock of this node.', 'ignore'),
  header_bad_nonce: entry('The first two bytes of the nonce are not zero.', 'penalise'),
  header_bad_miner: entry('The key of the miner is not a valid Ed25519 key.', 'penalise'),
  header_bad_signature: entry('The signature does not belong to this header and its miner.', 'penalise'),
  header_unknown_parent: entry('The parent of the block is not known.', 'ignore'),
  header_invalid_parent: entry('The block descends from an invalid block.', 'penalise'),

  // Block bodies
  block_malformed: entry('The block lacks a part or holds one that does not belong to it.', 'penalise'),
  block_wrong_list: entry('The list of transactions is not the one that the header links.', 'penalise'),
  block_wrong_transactions: entry('The transactions are not those of the list.', 'penalise'),
  block_duplicate_transaction: entry(
    'The block holds a transaction twice, or one that is on its chain already.',
    'penalise',
  ),
  block_transaction_from_future: entry('The block holds a transaction that is dated later than it allows.', 'penalise'),
  block_too_large: entry('The block is over a size limit of the network.', 'penalise'),
  block_miner_not_admitted: entry('Its miner is not admitted to this network.', 'penalise'),
  block_wrong_results: entry('The results of the header are not those of its transactions.', 'penalise'),
  block_unknown: entry('No block of this id or height is on the chain.'),

  // Mining
  mining_failed: entry('The miner failed before it found a block; the next one starts afresh.'),
  mining_exhausted: entry('No nonce of this header meets the target; change the header.'),

  // Disk
  data_folder_in_use: entry('Another process uses this data folder.'),
  data_folder_version: entry('The data folder was written by a version of emrchain that this one cannot read.'),
  data_folder_other_network: entry('The data folder belongs to another network.'),
  chain_damaged: entry('The chain file is damaged before its durable end.'),
  index_damaged: entry('A value in the database does not match its check.'),
  node_key_wrong: entry('The file node.key is missing, altered, or that of another node.'),
  folder_not_empty: entry('The folder is there already and not empty; it was left as it is.'),
  backup_malformed: entry('The folder is no complete backup of a node.'),
  disk_full: entry('The disk is full; nothing was changed.'),
  disk_failed: entry('The disk refused a read or write.'),

  // Files
  file_unknown: entry('No record on the chain and no file in the store matches.'),
  file_unavailable: entry('The file is not in the store of this node and no peer gave it.'),
  file_unpinned: entry('The operator of this node deleted the file on purpose; "emrchain pin CID" fetches it again.'),
  file_last_copy: entry('No other node says that it has the file; "emrchain unpin --force" deletes it all the same.'),
  file_damaged: entry('A block of the file does not match its CID.'),
  file_store_unreachable: entry('The file store does not answer.'),
  file_store_timeout: entry('The file store did not answer in time.'),
  file_store_failed: entry('The file store failed.'),
  file_store_mismatch: entry('The file store answered with another CID than the file has.'),
  file_too_large: entry('The file is larger than the limit.'),
  not_a_file: entry('The CID names something else than a well-formed UnixFS file.'),
  car_foreign_block: entry('The CAR names another root, or holds a block out of the order of the file.', 'penalise'),
  car_incomplete: entry('The CAR ends before the file is complete.'),
  path_forbidden: entry('The path leads out of the folder that this node may use, or is not a regular file.'),
  path_not_found: entry('There is no file or folder at this path.'),

  // Encryption and wallet
  cipher_wrong_key: entry('The key does not belong to this file.'),
  cipher_damaged: entry('The encrypted file was altered.'),
  cipher_truncated: entry('The encrypted file ends too early.'),
  cipher_too_large: entry('The file is larger than the format allows.'),
  passphrase_wrong: entry('The passphrase does not open this file.'),
  passphrase_missing: entry('A passphrase is needed; set EMRCHAIN_PASSPHRASE or use a terminal.'),
  passphrase_mismatch: entry('The two passphrases that were typed are not the same.'),
  wallet_missing: entry('There is no wallet here; make one with "emrchain wallet init".'),
  wallet_exists: entry('There is a wallet here already; it was left as it is.'),
  wallet_in_use: entry('Another process is changing the wallet; try again when it is done.'),
  recovery_malformed: entry('This is no recovery file that this version reads.'),
  wallet_malformed: entry('The wallet is not of a form that this version reads.'),
  key_missing: entry('The wallet holds no key for this file.'),
  key_malformed: entry('This is not the key of a file in a form that this version reads.'),

  // Consent
  seal_wrong: entry('This does not open: it is for another key or another place, or was altered.'),
  seal_bad_key: entry('Nothing can be sealed to this key.'),
  seal_unsupported: entry('The Web Crypto of this platform has no X25519.'),
  share_wrong: entry('The share is not the one that the record commits to.'),
  label_malformed: entry('The label of the record is not of a form that this version reads.'),
  secret_missing: entry('The wallet holds no secret that opens this.'),
  identity_missing: entry('The wallet is not registered on this network.'),
  identity_exists: entry('The wallet has an identity on this network already.'),
  contact_unknown: entry('This is neither an id nor a name of your contacts.'),
  contact_exists: entry('The name stands for another id.'),
  contacts_malformed: entry('The file of contacts is not one that emrchain wrote.'),
  consent_missing: entry('No grant of the patient allows this; "emrchain request" asks for one.'),
  record_without_consent: entry(
    'On this network a record without consent has no effect; write it with "emrchain record".',
  ),
  custodian_unknown: entry('The node knows no address of a custodian of this patient.'),
  custodian_unreachable: entry('A custodian of this patient does not answer, and no other gave the share out.'),
  consent_unfit: entry('The network would refuse this.'),

  // X.509
  not_an_authority: entry('Only an organisation or an administrator certifies others.'),
  identity_key_wrong: entry('The key in the wallet is not the current key of this identity.'),
  certificate_unknown: entry('There is no certificate of this id on the chain.'),
  certificate_foreign: entry('Somebody else issued this certificate, and only they can write it as X.509.'),
  certificate_revoked: entry('The certificate, or the one that it was issued under, is revoked on the chain.'),
  certificate_expired: entry('The time of the certificate, or of the one that it was issued under, is over.'),
  certificate_unfit: entry('The certificate on the chain cannot be written as X.509.'),
  certificate_stale: entry('A file does not say what the chain says now.'),
  certificate_chain_broken: entry('The certificates in a file do not sign each other up to a root.'),

  // Peers
  peer_forbidden: entry('The operator of this node does not allow this address.'),
  peer_bad_address: entry('The address is not an http or https URL of a node.'),
  peer_unreachable: entry('The peer does not answer.'),
  peer_untrusted: entry('The certificate of the peer is not one that is trusted here.'),
  peer_timeout: entry('The peer did not answer in time.'),
  peer_misbehaved: entry('The peer answered in a way that the protocol does not allow.', 'penalise'),
  peer_flooded: entry('The peer sent too much that leads nowhere.', 'penalise'),
  peer_unknown: entry('This node does not know the sender; greet it first.'),
  peer_is_self: entry('The address is that of this node itself.'),
  peer_unsigned: entry('Who acts as a peer must sign the request with the key of its node.'),
  peer_bad_signature: entry('The signature does not belong to this request and key.'),
  peer_signature_old: entry('The signature was made more than 60 s ago.'),
  peer_signature_early: entry('The signature is dated more than 30 s ahead of the clock of this node.'),
  peer_replayed: entry('A request with this signature has been here before.'),
  peer_wrong_digest: entry('The body is not the one that was signed.'),
  peer_wrong_key: entry('Another key than that of the signature belongs to this node or address.'),
  peer_banned: entry('This peer is banned for a time, for what it sent.'),
  peer_blocked: entry('The operator of the node has blocked this peer.'),

  // Reading, where a network has administrators
  reader_unsigned: entry(
    'This network shows chain and files only to certified keys: sign the request, or call as the operator.',
    'ignore',
  ),
  reader_not_certified: entry(
    'The key that signed is not certified here now; an organisation or administrator does that with "emrchain certify".',
    'ignore',
  ),

  // Custodians
  request_malformed: entry('The signed request is not of the form that the protocol gives it.'),
  request_bad_signature: entry('The signature does not belong to this request and key.'),
  request_out_of_time: entry('The request was signed too long ago, or is dated ahead of the clock of this node.'),
  request_replayed: entry('A request with this nonce and key has been here before.'),
  request_wrong_node: entry('The request is for another custodian.'),
  request_unknown_key: entry('The key of the request is not the current key of an identity on the chain.'),
  not_custodian: entry('The patient does not name this node as a custodian.'),
  custodian_not_certified: entry('No certificate that is in force here lets this node keep shares.'),
  share_unopened: entry('The share is not sealed to this custodian for this deposit.'),
  share_differs: entry('Another sealed label is kept for this record; only its patient can replace it.'),
  share_unknown: entry('This node keeps no share for this record.'),
  custody_author_full: entry('As many deposits of this author wait for their records as may.'),
  custody_full: entry('The node keeps as many shares as it may.'),
  custody_busy: entry('The node has as many releases under way as it may.'),
  record_unknown: entry('No record under consent with this id is on the chain.'),
  record_erased: entry('The record is erased.'),
  access_unfit: entry('The access does not stand for this request.'),
  access_expired: entry('The access was signed more than 24 h ago; sign a new one.'),
  release_denied: entry('The consent on the chain does not allow this access.'),
  release_frozen: entry('A revocation or erasure that waits for its block forbids this access.'),
  access_unacknowledged: entry('No other node has taken the access; nothing is given out that only one node knows of.'),
  custodians_disagree: entry(
    'Most custodians of the patient do not see the same tip and pending revocations as this node.',
  ),
  access_not_included: entry('The grant has a limit of uses: the access has to be on the chain first.'),

  // Configuration and command line
  config_invalid: entry('The configuration is not valid.'),
  usage: entry('The command line is not of a form that this command takes.'),
  node_unreachable: entry('No node answers at this URL; start one with "emrchain start".'),
  node_untrusted: entry('The certificate of the node is not one that is trusted here.'),
  node_broke_off: entry('The node broke off before its answer was complete.'),
  node_unexpected: entry('What answers at this URL does not answer as an emrchain node.'),
  output_exists: entry('The output file exists already; it was left as it is.'),
  input_unreadable: entry('The input is not a file or folder that can be read.'),
  folder_unfit: entry('The folder holds something that a record cannot carry.'),
  folder_malformed: entry('The recorded folder is not in the form in which folders are recorded.'),
  name_unfit: entry('A name has 1 to 256 bytes of text on one line; that of a file is no path.'),

  // Networks of several nodes, and the demonstration
  node_ended: entry('A node of the network ended by itself or did not close cleanly.'),
  network_not_connected: entry('The nodes could not be connected to each other.'),
  demo_image_missing: entry('The example image is not there or not as expected; pass the path of a file instead.'),
  demo_mismatch: entry('The demonstration did not come out as it must.'),

  // The paper's prototype
  prototype_malformed: entry('The file is not a chain as the prototype exports it.'),
} as const satisfies Record<string, Entry>

export type ErrorCode = keyof typeof errors

/** Small typed facts about one occurrence: ids, sizes, limits. Never secrets, bodies or whole states. */
export type ErrorFacts = Readonly<Record<string, string | number | boolean | null>>

/**
 * The only error that emrchain throws on purpose. `code` names the cause and is stable; `message`
 * is the catalogue's sentence, followed by `detail` where the occurrence has something to add.
 */
export class EmrError extends Error {
  readonly code: ErrorCode
  readonly facts: ErrorFacts

  constructor(code: ErrorCode, detail?: string, facts: ErrorFacts = {}, options?: ErrorOptions) {
    super(detail ? `${errors[code].sentence} ${detail}` : errors[code].sentence, options)
    this.name = 'EmrError'
    this.code = code
    this.facts = facts
  }

  /** Verdict on the sender; `reject` for errors that are not about blocks and transactions. */
  get verdict(): Verdict {
    const entry: Entry = errors[this.code]
    return entry.verdict ?? 'reject'
  }
}

/** Whether `error` is an EmrError, with this code if one is given. */
export const isEmrError = (error: unknown, code?: ErrorCode): error is EmrError =>
  error instanceof EmrError && (code === undefined || error.code === code)

import { type Static, Type } from '../typebox.js'

/**
 * What a client reads of the answers of a node (`/openapi.json` describes them in full). Fields that are not named
 * here may be there as well: a newer node says more.
 */

const Whole = Type.Integer({ minimum: 0 })

const Tip = Type.Object({ id: Type.String(), height: Whole, work: Type.String() })

const TransactionEntry = Type.Object({
  EHR_name: Type.Union([Type.String(), Type.Null()]),
  file_name: Type.Union([Type.String(), Type.Null()]),
  id: Type.String(),
  ipfs_hash: Type.Union([Type.String(), Type.Null()]),
  signer: Type.String(),
  size: Type.Union([Type.String(), Type.Null()]),
  user_id: Type.Union([Type.String(), Type.Null()]),
})
/** A transaction on the chain; its names are null where it carries no clear label, and its file where it is no record. */
export type TransactionEntry = Static<typeof TransactionEntry>

const ChainBlock = Type.Object({
  hash: Type.String(),
  index: Type.Integer({ minimum: 1 }),
  miner: Type.String(),
  nonce: Whole,
  previous_hash: Type.String(),
  timestamp: Type.String(),
  transactions: Type.Array(TransactionEntry),
})
/** A block as the paper's calls show it: index 1 is genesis, the time is UTC. */
export type ChainBlock = Static<typeof ChainBlock>

export const StatusAnswer = Type.Object({
  version: Type.String(),
  network: Type.String(),
  genesis: Type.String(),
  key: Type.String(),
  url: Type.String(),
  clearLabels: Type.Boolean(),
  administrators: Type.Boolean(),
  uptime: Whole,
  tip: Type.Object({ ...Tip.properties, index: Type.Integer({ minimum: 1 }), time: Whole, age: Type.Integer() }),
  next: Type.Object({ target: Type.String(), work: Type.String() }),
  mempool: Type.Object({ transactions: Whole, bytes: Whole }),
  peers: Whole,
  peerStates: Type.Object({ answering: Whole, failing: Whole, unheard: Whole }),
  sync: Type.Object({ state: Type.String(), bestHeight: Whole }),
  reorganisations: Type.Object({ count: Whole, deepest: Whole }),
  miner: Type.Object({ searching: Type.Boolean(), hashesPerSecond: Whole }),
  warnings: Type.Array(Type.String()),
  mining: Type.Boolean(),
  fileStore: Type.Object({ kind: Type.String(), state: Type.String(), detail: Type.Optional(Type.String()) }),
})
export type StatusAnswer = Static<typeof StatusAnswer>

export const ChainAnswer = Type.Object({ chain: Type.Array(ChainBlock), length: Type.Integer({ minimum: 1 }) })
export type ChainAnswer = Static<typeof ChainAnswer>

const FileInfo = Type.Object({
  Hash: Type.String(),
  Name: Type.String(),
  Size: Type.String({ pattern: '^\\d{1,16}$' }),
})

export const UploadAnswer = Type.Object({ 'IPFS Hash': FileInfo })

const BlockPlace = Type.Object({ index: Type.Integer({ minimum: 1 }), hash: Type.String(), timestamp: Type.String() })
/** The block that holds a record. */
export type BlockPlace = Static<typeof BlockPlace>

const RecordMatch = Type.Object({
  'File info': FileInfo,
  EHR_name: Type.String(),
  user_id: Type.String(),
  block: BlockPlace,
  confirmations: Type.Integer({ minimum: 1 }),
  transaction: Type.String(),
})
/** A record that was found by its name. */
export type RecordMatch = Static<typeof RecordMatch>

export const FindAnswer = Type.Object({
  ...RecordMatch.properties,
  matches: Type.Optional(Type.Array(RecordMatch)),
})
/** The newest match and, where no user was named, the newest of each user. */
export type FindAnswer = Static<typeof FindAnswer>

export const SubmitAnswer = Type.Object({ id: Type.String(), state: Type.Literal('pending') })

export const PendingAnswer = Type.Object({ pending: Type.Array(Type.String()) })

const Outcome = Type.Object({ code: Whole, name: Type.String(), sentence: Type.String() })
/** What the contract says to something. */
export type Outcome = Static<typeof Outcome>

const Standing = Type.Object({
  of: Type.String(),
  state: Type.Optional(Type.String()),
  revoked: Type.Optional(Type.Boolean()),
  used: Type.Optional(Whole),
})

export const TransactionAnswer = Type.Object({
  state: Type.Union([Type.Literal('pending'), Type.Literal('confirmed')]),
  transaction: TransactionEntry,
  at: Whole,
  kind: Type.String(),
  body: Type.Unknown(),
  result: Outcome,
  standing: Type.Optional(Standing),
  block: Type.Optional(BlockPlace),
  confirmations: Type.Optional(Type.Integer({ minimum: 1 })),
})
/** Where a transaction stands; only a confirmed one has a block. */
export type TransactionAnswer = Static<typeof TransactionAnswer>

const Id = Type.String()

export const IdentityAnswer = Type.Object({
  id: Id,
  version: Id,
  role: Type.String(),
  administrator: Type.Boolean(),
  key: Type.String(),
  seal: Type.String(),
  recovery: Type.Union([Type.String(), Type.Null()]),
  custodians: Type.Array(Id),
  classKeys: Type.Array(Type.Object({ class: Whole, epoch: Whole, key: Type.String() })),
})
/** A person, organisation or node as its newest version has it. */
export type IdentityAnswer = Static<typeof IdentityAnswer>

export const DecideAnswer = Type.Object({ allowed: Type.Boolean(), result: Outcome, time: Whole })
export type DecideAnswer = Static<typeof DecideAnswer>

const PendingEntry = Type.Object({
  id: Id,
  kind: Type.String(),
  at: Whole,
  author: Type.String(),
  body: Type.Unknown(),
  result: Outcome,
})
/** A transaction that waits for a block, and what the contract would say to it now. */
export type PendingEntry = Static<typeof PendingEntry>
export const PendingEntriesAnswer = Type.Object({ entries: Type.Array(PendingEntry) })

const HistoryEntry = Type.Object({
  ...PendingEntry.properties,
  standing: Type.Optional(Standing),
  block: BlockPlace,
  confirmations: Type.Integer({ minimum: 1 }),
  next: Type.String(),
})
/** A transaction of the main chain and what the contract said to it. */
export type HistoryEntry = Static<typeof HistoryEntry>
export const HistoryAnswer = Type.Object({ entries: Type.Array(HistoryEntry), next: Type.Optional(Type.String()) })

const Hex = Type.String({ pattern: '^([0-9a-f]{2})*$' })
export const DepositAnswer = Type.Object({ node: Id, key: Hex, sig: Hex })
export const ReleaseAnswer = Type.Object({ custodian: Id, access: Id, enc: Hex, ct: Hex })

export const ReleasesAnswer = Type.Object({ releases: Type.Array(Type.Object({ receipt: Hex, next: Type.String() })) })

export const MineAnswer = Type.Object({ message: Type.String(), ...ChainBlock.properties })

const PeerEntry = Type.Object({
  address: Type.String(),
  key: Type.Optional(Type.String()),
  tip: Type.Optional(Tip),
  seenAt: Type.Optional(Whole),
  failure: Type.Optional(Type.String()),
  state: Type.String(),
  until: Type.Optional(Whole),
  reason: Type.Optional(Type.String()),
  score: Whole,
  chosen: Type.Boolean(),
})
/** A node that the asked node knows; `failure` is the code of what went wrong in the last call. */
export type PeerEntry = Static<typeof PeerEntry>

export const PeersAnswer = Type.Object({ peers: Type.Array(PeerEntry) })

export const ConnectAnswer = Type.Object({
  total_nodes: Type.Array(Type.String()),
  refused: Type.Array(Type.Object({ node: Type.String(), code: Type.String(), reason: Type.String() })),
})
export type ConnectAnswer = Static<typeof ConnectAnswer>

export const TipEvent = Type.Object({
  connected: Type.Array(ChainBlock),
  disconnected: Type.Array(Type.String()),
  length: Type.Integer({ minimum: 1 }),
})
/** A change of the main chain: blocks that came to it, hashes of those that left it, its new length. */
export type TipEvent = Static<typeof TipEvent>

export const ProblemAnswer = Type.Object({ code: Type.String(), detail: Type.Optional(Type.String()) })

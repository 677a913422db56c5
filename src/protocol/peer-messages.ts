import { type Static, Type } from '../typebox.js'

const Hex64 = Type.String({ pattern: '^[0-9a-f]{64}$' })

/** The end of a node's chain, as nodes tell each other. `work` is hexadecimal: it outgrows exact JSON numbers. */
export const TipMessage = Type.Object(
  {
    id: Type.String({ minLength: 1, maxLength: 128, description: 'CID of the header' }),
    height: Type.Integer({ minimum: 0, description: 'genesis has 0' }),
    work: Type.String({ pattern: '^[0-9a-f]{1,64}$', description: 'summed expected hashes, hexadecimal' }),
  },
  { additionalProperties: false },
)
export type TipMessage = Static<typeof TipMessage>

/** What two nodes tell each other when they meet (docs/protocol.md, "Peers"). */
export const HelloMessage = Type.Object(
  {
    url: Type.String({ minLength: 1, maxLength: 256, description: 'where this node answers' }),
    network: Type.String({ minLength: 1, maxLength: 128, description: 'id of the genesis block' }),
    version: Type.Integer({ minimum: 1, description: 'protocol version' }),
    key: Hex64,
    tip: TipMessage,
  },
  { additionalProperties: false },
)
export type HelloMessage = Static<typeof HelloMessage>

/** Ids of the transactions that wait at a node, oldest first. */
export const PendingMessage = Type.Object(
  { pending: Type.Array(Type.String({ minLength: 1, maxLength: 128 }), { maxItems: 100_000 }) },
  { additionalProperties: false },
)
export type PendingMessage = Static<typeof PendingMessage>

/** Most headers in one answer, and most ids in a locator. */
export const MAX_HEADERS = 2_000
export const MAX_LOCATOR = 64
/** Least bytes at which an answer of whole blocks ends: a block that begins below this is still sent. */
export const BLOCKS_PER_ANSWER_BYTES = 8 * 1024 * 1024
/** Request header in which a node says where it answers, so that the other can ask it for more. */
export const PEER_HEADER = 'emrchain-peer'

/** Most ids of transactions in one announcement, and most that are asked for at once. */
export const MAX_ANNOUNCED = 1_000
/** Most blocks in one announcement: new ones, that is. Who missed more asks for headers. */
export const MAX_ANNOUNCED_BLOCKS = 4
/** Least bytes at which an answer of transactions ends: one that begins below this is still sent. */
export const TRANSACTIONS_PER_ANSWER_BYTES = 8 * 1024 * 1024

/** Most transactions of which the ids are told with a new block. */
export const MAX_ANNOUNCED_IDS = 10_000

const Id = Type.String({ minLength: 1, maxLength: 64, description: 'CID or 64 digits' })

/** A new block without its transactions: enough to check the work that is in it. */
export const AnnouncedBlock = Type.Object(
  {
    header: Type.String({ pattern: '^[0-9a-f]{360}$', description: 'the 180 bytes of the header' }),
    signature: Type.String({ pattern: '^[0-9a-f]{128}$', description: 'of its miner' }),
    transactions: Type.Optional(
      Type.String({
        pattern: '^[A-Za-z0-9+/]*={0,2}$',
        maxLength: Math.ceil((MAX_ANNOUNCED_IDS * 32) / 3) * 4,
        description: 'SHA-256 of each in order, joined, base64; absent where there are more than 10,000',
      }),
    ),
  },
  { additionalProperties: false },
)
export type AnnouncedBlock = Static<typeof AnnouncedBlock>

/** What a node has to give, by id. Who lacks it asks for it. */
export const Announcement = Type.Object(
  {
    transactions: Type.Array(Id, { maxItems: MAX_ANNOUNCED }),
    blocks: Type.Array(AnnouncedBlock, { maxItems: MAX_ANNOUNCED_BLOCKS }),
  },
  { additionalProperties: false },
)
export type Announcement = Static<typeof Announcement>

/** Answer to an announcement, once what was wanted has been fetched: the ids that this node did not get. */
export const AnnouncementAnswer = Type.Object(
  { lacking: Type.Array(Id, { maxItems: MAX_ANNOUNCED + MAX_ANNOUNCED_BLOCKS }) },
  { additionalProperties: false },
)
export type AnnouncementAnswer = Static<typeof AnnouncementAnswer>

/** Most addresses of a daemon that one node tells another. */
export const MAX_DAEMON_ADDRESSES = 16

/** The IPFS daemon of a node, as it announces itself, so that the daemon of the other can connect to it. */
export const DaemonMessage = Type.Object(
  {
    id: Type.String({ pattern: '^[1-9A-HJ-NP-Za-km-z]{46,64}$', description: 'libp2p peer id, base58' }),
    addresses: Type.Array(Type.String({ minLength: 1, maxLength: 128 }), {
      maxItems: MAX_DAEMON_ADDRESSES,
      description: 'multiaddresses: an IP address with tcp, or with udp and quic-v1',
    }),
  },
  { additionalProperties: false },
)
export type DaemonMessage = Static<typeof DaemonMessage>

/** Answer to it: whether the node has a daemon, which then dials. */
export const DaemonAnswer = Type.Object({ taken: Type.Boolean() }, { additionalProperties: false })
export type DaemonAnswer = Static<typeof DaemonAnswer>

/** Transactions that a node asks for. */
export const WantedTransactions = Type.Object(
  { ids: Type.Array(Id, { minItems: 1, maxItems: MAX_ANNOUNCED }) },
  { additionalProperties: false },
)
export type WantedTransactions = Static<typeof WantedTransactions>

/** Most files that a peer is asked about at once. */
export const MAX_ASKED_FILES = 64

const FileIds = Type.Array(Type.String({ minLength: 1, maxLength: 128, description: 'CID of a file' }), {
  maxItems: MAX_ASKED_FILES,
})

/** Files of which a node wants to know whether another keeps them. */
export const AskedFiles = Type.Object({ cids: FileIds }, { additionalProperties: false })
export type AskedFiles = Static<typeof AskedFiles>

/** Those of them that it keeps, as they were asked for. */
export const HeldFiles = Type.Object({ held: FileIds }, { additionalProperties: false })
export type HeldFiles = Static<typeof HeldFiles>

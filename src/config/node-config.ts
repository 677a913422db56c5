import { type Static, Type } from '../typebox.js'

const text = (description: string) => Type.String({ minLength: 1, description })

/**
 * Everything that a node can be told, from whichever source it comes. The command line's flags and
 * the EMRCHAIN_* variables are named after these keys (`fileRoot`: `--file-root`, EMRCHAIN_FILE_ROOT).
 */
export const NodeOptions = Type.Object(
  {
    port: Type.Integer({ minimum: 0, maximum: 65_535, description: 'port to listen on; 0 takes a free one' }),
    host: text('address to listen on; beyond loopback only with TLS or behind a proxy'),
    tlsCert: text('file of the TLS certificate, PEM'),
    tlsKey: text('file of the key of the TLS certificate, PEM'),
    tlsCa: text('file of certificates that vouch for https peers, PEM; in the place of those of the system'),
    behindProxy: Type.Boolean({
      description: 'a proxy ends TLS and passes requests on; operator calls always need the token',
    }),
    publicUrl: text('URL under which others reach this node'),
    data: text('folder of the chain, the files and the key of the node'),
    network: text('"paper", or a file of network parameters'),
    ipfs: text('URL of a Kubo RPC API, or "embedded"; without it, a Kubo on port 5001 if it answers, else embedded'),
    ipfsCluster: text('URL of the REST API of the IPFS Cluster whose proxy --ipfs names'),
    peer: Type.Array(text('URL'), { description: 'URL of a node to connect to; may be given several times' }),
    allowPeer: Type.Array(text('host'), {
      description:
        'address, range (CIDR) or host name beyond loopback that the node may call; may be given several times',
    }),
    mine: Type.Boolean({ description: 'mine by itself whenever a transaction is pending' }),
    mineInterval: Type.Integer({
      minimum: 0,
      maximum: 86_400_000,
      description: 'least time between the blocks that --mine makes, in ms',
    }),
    miningThreads: Type.Integer({ minimum: 1, maximum: 256, description: 'worker threads that search for a nonce' }),
    eraseAfter: Type.Integer({
      minimum: 1,
      maximum: 1_000,
      description: 'blocks on an erasure, its own counted, after which it is carried out; at the latest after 24 h',
    }),
    fileRoot: text('folder from which create_hash reads files'),
    downloads: text('folder into which get_file writes'),
    logLevel: Type.Enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'], {
      description: 'how much the node logs',
    }),
  },
  { additionalProperties: false },
)
export type NodeOptions = Static<typeof NodeOptions>

/** Options as one source gives them: any of them may be absent. */
export const PartialNodeOptions = Type.Partial(NodeOptions, { additionalProperties: false })
export type PartialNodeOptions = Static<typeof PartialNodeOptions>

/** A complete configuration. Only what `Open` names may be absent. */
export type NodeConfig = Omit<NodeOptions, Open> & Pick<PartialNodeOptions, Open>
type Open = 'ipfs' | 'ipfsCluster' | 'miningThreads' | 'tlsCert' | 'tlsKey' | 'tlsCa' | 'publicUrl'

/** What holds where no source says otherwise. `data` and `downloads` follow from the port. */
export const DEFAULT_OPTIONS = {
  port: 5002,
  host: '127.0.0.1',
  network: 'paper',
  peer: [],
  allowPeer: [],
  behindProxy: false,
  mine: false,
  mineInterval: 1_000,
  eraseAfter: 6,
  fileRoot: '.',
  logLevel: 'info',
} as const satisfies PartialNodeOptions

/** Folder of a node that was given none, so that nodes on several ports do not meet in one. */
export const defaultDataFolder = (port: number): string => `emrchain-data/${port}`

import { EventEmitter } from 'node:events'
import { bytesToHex } from '@noble/hashes/utils.js'
import { createChain } from '../chain/chain.js'
import { loadNetwork } from '../config/load-config.js'
import type { NodeConfig } from '../config/node-config.js'
import { loadSodium } from '../crypto/ed25519-sodium-node.js'
import { isEmrError } from '../errors.js'
import type { FileStoreOptions } from '../files/choose-file-store.js'
import { openLedger } from '../ledger/ledger.js'
import { createMempool } from '../mempool/mempool.js'
import { createMiner } from '../mining/miner.js'
import { createNetwork, DEFAULT_NETWORK_OPTIONS, type NetworkOptions } from '../network/network.js'
import { type ClientLimits, clientLimitsFor, createPeerClient } from '../network/peer-client.js'
import { tipMessage } from '../network/sync.js'
import { type Block, hashResults } from '../protocol/block.js'
import { genesisHeader } from '../protocol/header.js'
import { PROTOCOL_VERSION } from '../protocol/network-parameters.js'
import type { HelloMessage } from '../protocol/peer-messages.js'
import { createChainReads } from './chain-reads.js'
import { createChainStore } from './chain-store.js'
import { assertStoreOptions } from './choose-store.js'
import { createConsentReads } from './consent-reads.js'
import { createCustody } from './create-custody.js'
import { createFiles } from './create-files.js'
import { startEarlyTimer } from './early-timer.js'
import type { EmrNode, NodeEvents } from './emr-node.js'
import { ledgerRules } from './ledger-rules.js'
import { createMiningService } from './mining-service.js'
import { nodeAddresses } from './node-addresses.js'
import { createNodeStatus } from './node-status.js'
import { openNodeDisk } from './open-node-disk.js'
import { createPeerIdentity, peerPolicy } from './peer-identity.js'
import { createReaders } from './readers.js'
import { createRecordService } from './record-service.js'
import { createSignaturePool } from './signature-pool.js'
import { createSignatureRules } from './signature-rules.js'
import { createTally } from './tally.js'
import { createTransactionChecks } from './transaction-checks.js'

/** Largest file that is uploaded or taken from a peer, in bytes. */
const MAX_FILE_BYTES = 16 * 1024 ** 3

/** Where a node says what it does; pino and Fastify loggers fit. */
export interface NodeLogger {
  info(facts: object, message: string): void
  warn(facts: object, message: string): void
  /** What an operator looks for, and need not act on. */
  debug?(facts: object, message: string): void
}

export interface NodeDependencies {
  readonly logger: NodeLogger
  /** Clock, in ms since 1970. */
  now?(): number
  random?(): number
  readonly networkOptions?: NetworkOptions
  /** How long peers may take to answer, and how much. */
  readonly clientLimits?: ClientLimits
  /** How long a Kubo daemon may be silent. */
  readonly kuboTimeouts?: FileStoreOptions['timeouts']
  /** Certificates that vouch for peers, PEM; those of the system by default. */
  readonly peerAuthorities?: Buffer | undefined
}

/**
 * How long the paper's calls wait for peers to hear of what they did, in ms. Who asks another node next, as
 * the paper does, finds it there; a peer that hangs costs no more than this.
 */
const TELLING_TIME = 1_000

/** A node whose parts are open, but which nobody can reach yet. */
export interface OpenNode {
  readonly node: EmrNode
  /** Begins to mine, to ask peers and to greet those of the configuration, once it answers at `url`. */
  start(url: string): Promise<void>
  /** Ends searches and calls to peers, so that no request waits for them. Reading and writing still work. */
  stop(): Promise<void>
  /** Ends everything, in reverse order; what is under way is finished or taken back. */
  close(): Promise<void>
}

/**
 * Builds a node: opens its disk, makes each part with what it needs, and ties their events together. No
 * other place makes a part of a node.
 *
 * @throws EmrError of the configuration, the data folder, or the file store
 */
export async function createNode(config: NodeConfig, dependencies: NodeDependencies): Promise<OpenNode> {
  const { logger, now = Date.now, random = Math.random } = dependencies
  const network = loadNetwork(config.network)
  const policy = peerPolicy(config)
  assertStoreOptions(config)
  const genesis = genesisHeader(network, hashResults(new Uint8Array(0)))
  const rules = createSignatureRules()
  const events = new EventEmitter<NodeEvents>()
  events.setMaxListeners(0)
  let ownUrl = ''

  const ledgerOptions = ledgerRules(network)
  const ledger = await openLedger(config.data, ledgerOptions)
  const opened = await openNodeDisk(config, ledger, genesis.id, dependencies.kuboTimeouts).catch(
    async (error: unknown) => {
      await ledger.close()
      throw error
    },
  )
  const { signer, fileStore, custodyDisk, choice, isNew } = opened
  if (ledger.recovery.stateLost)
    logger.warn({}, 'the durable state was missing: pending transactions, peers and settings are lost')
  logger.info({ ...ledger.recovery, fileStore: choice, chosenNow: isNew }, 'data folder open')
  if (!loadSodium()) logger.warn({}, 'libsodium does not run here: OpenSSL checks signatures, in twice the time')

  const store = createChainStore(ledger, ledgerOptions)
  const tally = createTally()
  const signatures = createSignaturePool()
  const chain = tally.ofChain(
    createChain({
      ...{ network, genesis: genesis.id, rules, store, now, checkSignatures: signatures.check },
      isVerified: (id) => mempool.isVerified(id),
    }),
  )
  const isOnChain = (id: Parameters<typeof store.placeOf>[0]): boolean => store.placeOf(id) !== undefined
  const mempool = tally.ofMempool(
    createMempool({
      network,
      genesis: genesis.id,
      checkSignatures: createTransactionChecks(rules, signatures),
      isOnChain,
      now,
      store: {
        putPending: ledger.state.putPending,
        *pending() {
          for (const { bytes } of ledger.state.pending()) yield bytes
        },
      },
    }),
  )
  const miner = createMiner(config.miningThreads === undefined ? {} : { threads: config.miningThreads })
  const mining = createMiningService(
    {
      network,
      chain,
      mempool,
      miner,
      signer,
      now,
      random,
      onMined(block) {
        tally.blockMined()
        return briefly(peers.announceBlock(block))
      },
      onTrouble: (error) => logger.warn({ err: error }, 'no block was mined'),
    },
    { interval: config.mine ? config.mineInterval : undefined },
  )

  const hello = (): HelloMessage => ({
    url: ownUrl,
    network: genesis.id.toString(),
    version: PROTOCOL_VERSION,
    key: bytesToHex(signer.publicKey),
    tip: tipMessage(tipEnd()),
  })
  const tipEnd = () => {
    const { header, work } = chain.tip()
    return { id: header.id, height: header.height, work }
  }
  const readers = createReaders({
    isOpen: network.administrators === null,
    state: ledger.contract,
    tipTime: () => chain.tip().header.time,
    now,
  })
  const { book, ...identity } = createPeerIdentity({
    isReader: readers.isCertified,
    signer,
    table: ledger.state.peers,
    isValidKey: rules.isValidKey,
    now,
    random,
    logger,
  })
  const client = createPeerClient(
    {
      ownAddress: () => ownUrl,
      ...{ signer, verify: identity.verify, now, policy, assertMayCall: book.assertMayCall },
      ca: dependencies.peerAuthorities,
    },
    dependencies.clientLimits ?? clientLimitsFor(network),
  )
  const peers = createNetwork(
    {
      client,
      book,
      policy,
      gossip: {
        findTransaction: async (id) => mempool.known(id) ?? records.transaction(id),
        knowsTransaction: (id) => mempool.known(id) !== undefined || isOnChain(id),
        hasBlock: (id) => store.stored(id) !== undefined,
        addTransaction: (transaction, from) => records.submit(transaction, from),
        addBlock: (block, from) => submitBlocks([block], from),
      },
      chain: { ...chain, tip: tipEnd, tipBlock: () => store.readBlock(chain.tip().header.id) },
      introductions: {
        daemon: fileStore.swarm,
        onDialled: (peer, outcome) => logger.debug?.({ peer, ...outcome }, 'dialled the IPFS daemon of a peer'),
        onTrouble: (peer, error) => logger.debug?.({ peer, err: error }, 'the IPFS daemons were not introduced'),
      },
      mayHear: readers.mayHear,
      hello,
      now,
      onTrouble: (peer, error) =>
        logger.warn(
          isEmrError(error) ? { peer, code: error.code, reason: error.message } : { peer, err: error },
          'trouble with a peer',
        ),
    },
    dependencies.networkOptions ?? DEFAULT_NETWORK_OPTIONS,
  )
  const { files, keeping } = createFiles(
    {
      ...{ store: fileStore, network: peers, state: ledger.state, logger },
      nameOnChain: (cid) => records.nameOf(cid),
      assertNotErased: ({ bytes }) => custody.assertNotErased(bytes),
    },
    { fileRoot: config.fileRoot, dataFolder: config.data, downloads: config.downloads, maxFileBytes: MAX_FILE_BYTES },
  )
  const records = createRecordService({
    network,
    genesis: genesis.id,
    signer,
    ledger,
    mempool,
    files,
    now,
    onAccepted(transaction, from) {
      const told = peers.announceTransaction(transaction, from)
      events.emit('transaction', transaction)
      mining.wake()
      return told
    },
  })

  const consent = createConsentReads({
    ...{ ledger, status: records.status, resultsOf: chain.resultsOf, pending: mempool.all, now },
    tipTime: () => chain.tip().header.time,
  })

  const reads = createChainReads(store, ledger, { network, genesis, rules, now })
  const custody = createCustody({
    ...{ genesis: genesis.id, signer, rules, ledger, mempool, records, reads, fileStore, client, now },
    ...{ ...custodyDisk, peers: () => peers.peers().filter(readers.mayHear), logger, eraseAfter: config.eraseAfter },
  })

  chain.onTipChanged(({ tip, connected, disconnected, taken, returned }) => {
    tally.tipChanged({ connected, disconnected, taken })
    mempool.follow({ taken, returned })
    logger.info({ height: tip.header.height, block: tip.header.id.toString(), returned: returned.length }, 'new tip')
    events.emit('tip', { tip, connected, disconnected })
    // Whoever is on the winning branch already may never have heard of what the other one held.
    for (const transaction of returned) void peers.announceTransaction(transaction)
    mining.wake()
    void custody.follow()
  })

  async function submitBlocks(blocks: readonly Block[], from?: string): Promise<void> {
    const fresh = blocks.filter(({ header }) => chain.workOf(header.id) === undefined)
    /** What is kept of them, and leads nowhere. */
    const countLow = (): void => {
      if (from === undefined || chain.missing(blocks.at(-1)?.header.id).length > 0) return
      const low = fresh.filter(({ header: { id } }) => chain.workOf(id) !== undefined && !store.stored(id))
      peers.countLow(from, low.length)
    }
    try {
      // A branch may be better as a whole than its first blocks are: its headers say so.
      if (blocks.length > 1) await chain.addHeaders(blocks)
      const last = blocks.at(-1)
      if ((await chain.addBlocks(blocks)) === 'connected' && last) void peers.announceBlock(last, from)
    } catch (error) {
      // What the block stands on is to be had from whom it came.
      if (isEmrError(error, 'header_unknown_parent') && from !== undefined) void peers.catchUp(from)
      countLow()
      throw error
    }
    countLow()
    if (from !== undefined && chain.missing().length > 0) void peers.catchUp(from)
  }

  const node: EmrNode = {
    network,
    genesis: genesis.id,
    maxUploadBytes: MAX_FILE_BYTES,
    events,

    createHash: files.createHash,
    getFile: files.getFile,
    readFile: files.readFile,
    openFile: files.openFile,
    fileAsCar: files.fileAsCar,
    fileBlock: files.fileBlock,

    async addRecord(record, signal) {
      const { told, ...added } = await records.add(record, signal)
      await briefly(told)
      return added
    },
    async submitTransaction(bytes, from) {
      // A name that nobody here knows is no source of its own: anybody could have many.
      const peer = from === undefined ? undefined : peers.peers().find(({ address }) => address === from)
      return (await records.submit(bytes, peer?.address)).transaction
    },
    findFiles: records.find,
    transaction: records.status,
    ...{ consent, readers, custody, keeping },
    pendingTransactions: mempool.all,
    transactionsAsCar: records.asCar,

    submitBlocks,
    mine: mining.mine,

    ...reads,

    hello,
    greeted: peers.greeted,
    authenticate: identity.authenticate,
    signAnswer: identity.signAnswer,
    judge: book.judge,
    announced: peers.announced,
    daemonTold: peers.daemonTold,
    blockPeers: peers.block,
    unblockPeers: peers.unblock,
    connect: peers.connect,
    syncAll: peers.syncAll,
    peers: peers.peers,
    nodeAddresses: () => nodeAddresses(ownUrl, peers.peers()),

    status: createNodeStatus({
      network,
      genesis: genesis.id,
      key: signer.publicKey,
      mempool,
      miner,
      fileStore,
      automatic: mining.automatic,
      url: () => ownUrl,
      tip: chain.tip,
      peers: peers.peers,
      tally: tally.read,
      custody: custody.tally,
      now,
    }),
  }

  const stopEarly = startEarlyTimer({
    chain,
    now,
    onNews: () => chain.missing().length > 0 && void peers.syncAll(),
    onTrouble: (error) => logger.warn({ err: error }, 'a block that came early could not be tried'),
  })

  async function stop(): Promise<void> {
    stopEarly()
    await mining.close()
    await peers.close()
  }

  return {
    node,
    stop,
    async start(url) {
      ownUrl = url
      mining.start()
      peers.start()
      peers.expect(config.peer)
      const connected = peers.connect(config.peer)
      // Who asks for a share or a file waits until the erasures of the chain are applied.
      void custody.start(connected.then(peers.syncAll))
      void keeping.finish()
      const { refused } = await connected
      for (const peer of refused) logger.warn(peer, 'a configured peer was not connected')
    },
    async close() {
      await stop()
      await custody.close()
      await signatures.close()
      await fileStore.close()
      await ledger.close()
    },
  }
}

async function briefly(telling: Promise<void>): Promise<void> {
  let patience: NodeJS.Timeout | undefined
  const timeout = new Promise<void>((resolve) => {
    patience = setTimeout(resolve, TELLING_TIME)
  })
  await Promise.race([telling, timeout]).finally(() => clearTimeout(patience))
}

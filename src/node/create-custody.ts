import { setTimeout as pause } from 'node:timers/promises'
import { bytesToHex } from '@noble/hashes/utils.js'
import type { CID } from 'multiformats/cid'
import type { Signer } from '../crypto/ed25519.js'
import { nodeSealSecret } from '../crypto/seed.js'
import { EmrError } from '../errors.js'
import { normalCid } from '../files/file-block.js'
import type { FileStore } from '../files/file-store.js'
import type { Ledger } from '../ledger/ledger.js'
import { openShares, type Shares } from '../ledger/shares.js'
import type { Mempool } from '../mempool/mempool.js'
import type { Peer } from '../network/peer-book.js'
import type { PeerClient } from '../network/peer-client.js'
import { decodeFileCid } from '../protocol/cid.js'
import { sealRelease } from '../protocol/sealed-release.js'
import type { SignatureRules, SignedTransaction } from '../protocol/transaction.js'
import { aboutKey, fileKey } from './block-facts.js'
import type { CustodyChain, ErasableFiles, KnownNode, OtherNodes } from './custody-dependencies.js'
import { DEFAULT_CUSTODY_OPTIONS } from './custody-options.js'
import { type CustodyService, createCustodyService } from './custody-service.js'
import { type CustodyTally, createCustodyCounter } from './custody-tally.js'
import type { EmrNode } from './emr-node.js'
import { isFileNeeded } from './erased-files.js'
import { firstRound } from './first-round.js'
import { readNodeSeed } from './node-key.js'
import type { RecordService } from './record-service.js'
import { createReleaseTeller, type ReleaseTeller } from './release-teller.js'
import { forgetRestored, isRestored } from './restored-mark.js'

/** What a custodian keeps on the disk of its own. */
export interface CustodyDisk {
  readonly shares: Shares
  /** Opens what is sealed to this node. */
  readonly sealSecret: Uint8Array
}

/** Opens the shares of a data folder, whose `node.key` is there. @throws EmrError those of `openShares` */
export const openCustodyDisk = async (dataFolder: string, genesis: CID): Promise<CustodyDisk> => ({
  sealSecret: nodeSealSecret(await readNodeSeed(dataFolder), genesis.bytes),
  shares: await openShares(dataFolder),
})

export interface CustodyParts extends CustodyDisk {
  readonly genesis: CID
  readonly signer: Signer
  readonly rules: SignatureRules
  readonly ledger: Ledger
  readonly mempool: Pick<Mempool, 'all' | 'has'>
  readonly records: Pick<RecordService, 'submit' | 'status'>
  readonly reads: Pick<EmrNode, 'blockAt' | 'isOnMainChain'>
  readonly fileStore: Pick<FileStore, 'has' | 'list' | 'remove'>
  readonly client: Pick<PeerClient, 'custodianView' | 'handOver' | 'tellRelease' | 'transactions'>
  peers(): readonly Peer[]
  /** Blocks on an erasure after which it is carried out. */
  readonly eraseAfter: number
  now(): number
  readonly logger: { warn(facts: object, message: string): void; debug?(facts: object, message: string): void }
}

/** Pauses before custodians that did not take a share are asked again, in ms; each is twice the one before. */
const HANDOVER_PAUSE = { first: 1_000, longest: 600_000 } as const
/** Pause before a peer is asked again for an access, in ms. */
const PAUSE = 200

/**
 * The custody service of a node, over its own chain, disk and peers. Here `start` and `follow` do not reject: what fails is
 * logged and tried again. `close` closes the shares too.
 *
 * `start` takes the node's first round of its peers. No share is given out and nothing is destroyed before that is over: what
 * came on the chain while the node was down counts first. It lasts 30 s at most, but on a data folder that was restored,
 * where erasures that came after the backup are applied first, as long as it takes. Files wait for it only there: a node
 * that was merely down has its erasures on its own disk.
 */
export function createCustody(
  parts: CustodyParts,
): Omit<CustodyService, 'start'> & { start(asked: Promise<void>): Promise<void>; tally(): CustodyTally } {
  const { genesis, signer, sealSecret, rules, ledger, shares, client, now, logger } = parts
  const onTrouble = (error: unknown): void =>
    logger.warn({ err: error }, 'what a custodian has to do is tried again later')
  const onLost = (error: unknown, what: string): void => logger.warn({ err: error }, `${what}; it is not tried again`)
  const onUntold = (peer: string, error: unknown): void =>
    logger.debug?.({ peer, err: error }, 'a peer did not take a receipt of a release')
  const { settings } = ledger.state
  const wasRestored = isRestored(settings)
  let isRestoring = wasRestored
  const counter = createCustodyCounter()
  let caughtUp: Promise<void> = Promise.resolve()
  let isStarted = false
  const chain = chainOf(parts)
  const teller = createReleaseTeller(client, parts.peers, onUntold)
  const others = createOtherNodes(client, parts.peers, teller)
  const erasure = { ...DEFAULT_CUSTODY_OPTIONS.erasure, confirmations: parts.eraseAfter }
  const service = createCustodyService(
    {
      ...{ genesis, signer, sealSecret, rules, shares, others, now, onTrouble, onLost },
      chain,
      releases: ledger.state.releases,
      caughtUp: () => caughtUp,
      isRestored: wasRestored,
      files: filesOf(parts.fileStore, chain),
      seal: sealRelease,
      onHandedOver: counter.handedOver,
    },
    { ...DEFAULT_CUSTODY_OPTIONS, erasure },
  )
  const custody = counter.of(service)
  let isClosed = false
  let retry: NodeJS.Timeout | undefined
  let wait: number = HANDOVER_PAUSE.first
  /** Hands over what is due, and again later as long as something is left. */
  async function handOver(): Promise<boolean> {
    const isDone = await custody.handOver().catch((error: unknown) => void onTrouble(error))
    clearTimeout(retry)
    if (isDone) wait = HANDOVER_PAUSE.first
    else if (!isClosed) {
      retry = setTimeout(() => void handOver(), wait)
      retry.unref()
      wait = Math.min(2 * wait, HANDOVER_PAUSE.longest)
    }
    return isDone ?? false
  }
  /** Where no peer answers, a restored node goes on by the chain that it has, and asks again at the next start. */
  async function noteRound(): Promise<void> {
    isRestoring = false
    if (isClosed) return
    if (parts.peers().some(({ state }) => state === 'connected')) await forgetRestored(settings).catch(onTrouble)
  }

  return {
    ...custody,
    handOver,
    tally: () => ({ ...custody.kept(), ...counter.read(), isRestoring }),
    async start(asked) {
      const round = asked.catch(onTrouble)
      caughtUp = wasRestored ? round.then(noteRound) : firstRound(round)
      await caughtUp
      if (isClosed) return
      isStarted = true
      await custody.start().catch(onTrouble)
      void handOver()
    },
    async close() {
      isClosed = true
      clearTimeout(retry)
      teller.close()
      await custody.close()
      await shares.close()
    },
    async follow() {
      await custody.follow().catch(onTrouble)
      if (isStarted) void handOver()
    },
    async takeReceipt(receipt) {
      const isNew = await custody.takeReceipt(receipt)
      // Whoever hears of it tells it on, so that it reaches those that the custodian has no connection to.
      if (isNew)
        void others.announceRelease(receipt).catch((error: unknown) => onLost(error, 'a receipt was not told on'))
      return isNew
    },
  }
}

function chainOf({ ledger, mempool, records, reads }: CustodyParts): CustodyChain {
  const confirmation = (id: CID) => ledger.confirmation(id)
  return {
    contractState: () => ledger.contract,
    tip: ledger.tip,
    isOnMainChain: reads.isOnMainChain,
    async blockAt(height) {
      const entry = ledger.blockAt(height)
      // Blocks that the contract has nothing to say to hold nothing but the paper's records.
      if (entry && !ledger.resultsAt(height)) return { header: entry, transactions: [] }
      return reads.blockAt(height)
    },
    pending: mempool.all,
    isKnown: (id) => mempool.has(id) || confirmation(id) !== undefined,
    async transaction(id) {
      const found = await records.status(id)
      if (found?.state !== 'confirmed') return found
      const place = confirmation(id)
      // The main chain may have changed while it was read.
      if (!place) return undefined
      return { ...found, result: ledger.resultsAt(place.height)?.[place.position] ?? 0 }
    },
    *transactionsOfFile(file) {
      for (const { id } of ledger.matches(fileKey(file))) yield id
    },
    *transactionsAbout(id) {
      for (const match of ledger.matches(aboutKey(id))) yield match.id
    },
    async submitTransaction(bytes) {
      await (await records.submit(bytes)).told
    },
  }
}

function filesOf(fileStore: CustodyParts['fileStore'], chain: CustodyChain): ErasableFiles {
  /** Damaged ciphertext, which does not count as held, has to go as well. */
  async function isHere(cid: CID): Promise<boolean> {
    return (await fileStore.has(cid)) || ((await fileStore.list())?.some((one) => one.equals(cid)) ?? false)
  }
  return {
    holds: async (file) => !(await isFileNeeded(chain, file)) && isHere(normalCid(decodeFileCid(file))),
    async destroy(file) {
      if (!(await isFileNeeded(chain, file))) await fileStore.remove(decodeFileCid(file))
    },
  }
}

function createOtherNodes(
  client: CustodyParts['client'],
  peers: CustodyParts['peers'],
  teller: ReleaseTeller,
): OtherNodes {
  const isWell = ({ key, state }: Peer): boolean => key !== undefined && (state === 'new' || state === 'connected')
  const addresses = (): string[] =>
    peers()
      .filter(isWell)
      .map(({ address }) => address)

  const has = async (address: string, { id }: SignedTransaction): Promise<true> => {
    await client.transactions(address, [id])
    return true
  }

  /** @throws EmrError `peer_unknown` */
  const addressOf = ({ key }: KnownNode): string => {
    const name = bytesToHex(key)
    const found = peers().find((peer) => peer.key === name && isWell(peer))
    if (!found) throw new EmrError('peer_unknown', `No connection to ${name}.`)
    return found.address
  }

  return {
    askView: async (node, question, signal) => client.custodianView(addressOf(node), question, signal),
    handOver: async (node, request, signal) => client.handOver(addressOf(node), request, signal),
    async isAcknowledged(transaction, signal) {
      // A peer answers with what is on its disk or chain, and not before it is. Where all are blocked or banned nobody will.
      while (!signal.aborted && peers().some(({ state }) => state !== 'blocked' && state !== 'banned')) {
        const known = await Promise.any(addresses().map((address) => has(address, transaction))).catch(() => false)
        if (known) return true
        await pause(PAUSE, undefined, { signal }).catch(() => undefined)
      }
      return false
    },
    announceRelease: teller.tell,
  }
}

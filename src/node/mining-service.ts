import type { Chain } from '../chain/chain.js'
import { createSerial } from '../chain/serial.js'
import { expectedTarget } from '../consensus/difficulty.js'
import type { Signer } from '../crypto/ed25519.js'
import { EmrError, isEmrError } from '../errors.js'
import type { Mempool } from '../mempool/mempool.js'
import type { Miner } from '../mining/miner.js'
import { type Block, encodeTransactionList, hashResults, signHeader } from '../protocol/block.js'
import { cidOf } from '../protocol/cid.js'
import { compactToTarget, targetToBytes } from '../protocol/compact-target.js'
import { decodeHeader, encodeHeader } from '../protocol/header.js'
import type { NetworkParameters } from '../protocol/network-parameters.js'
import type { SignedTransaction } from '../protocol/transaction.js'

export interface MiningOptions {
  /** Least time between the blocks that the node makes by itself, in ms; undefined: it makes none. */
  readonly interval?: number | undefined
}

export interface MiningDependencies {
  readonly network: NetworkParameters
  readonly chain: Chain
  readonly mempool: Mempool
  readonly miner: Miner
  readonly signer: Signer
  now(): number
  /** Between 0 and 1; spreads the nodes, so that they do not all mine at the same moment. */
  random(): number
  /** Takes a block that was mined and is on disk, to tell others of it. */
  onMined(block: Block): Promise<void>
  /** Hears why a block that the node wanted to make by itself was not made. */
  onTrouble(error: unknown): void
}

export interface MiningService {
  /** Mines one block of what is pending. A new tip starts the search again. @throws EmrError `cancelled`, `closing` */
  mine(signal: AbortSignal): Promise<Block>
  readonly automatic: boolean
  /** Mines by itself from now on, if it was told to. */
  start(): void
  /** Something became pending, or the tip moved. */
  wake(): void
  close(): Promise<void>
}

export function createMiningService(dependencies: MiningDependencies, { interval }: MiningOptions): MiningService {
  const { network, chain, mempool, miner, signer, now, random, onMined, onTrouble } = dependencies
  const serial = createSerial()
  const closing = new AbortController()
  let search: AbortController | undefined
  let timer: NodeJS.Timeout | undefined
  let started = false
  let lastChange = now()

  chain.onTipChanged(() => {
    lastChange = now()
    search?.abort(new EmrError('cancelled'))
  })

  /** A header with everything but its nonce, and what it is about. */
  function template(): { header: Uint8Array; target: Uint8Array; transactions: SignedTransaction[] } {
    const { header: parent } = chain.tip()
    const time = Math.max(now(), parent.time + 1)
    if (!chain.mayMine(signer.publicKey, time)) {
      throw new EmrError('block_miner_not_admitted', 'This node has no certificate to mine that is in force.')
    }
    const transactions = mempool.selectFor(time)
    const target = expectedTarget(network, parent)
    const header = encodeHeader({
      version: network.version,
      height: parent.height + 1,
      parent: parent.id,
      transactions: cidOf(encodeTransactionList(transactions.map(({ id }) => id))),
      results: hashResults(chain.resultsOf(transactions, time)),
      time,
      target,
      miner: signer.publicKey,
      nonce: 0,
    })
    return { header, target: targetToBytes(compactToTarget(target)), transactions }
  }

  async function mine(signal: AbortSignal): Promise<Block> {
    for (;;) {
      if (closing.signal.aborted) throw new EmrError('closing')
      if (signal.aborted) throw new EmrError('cancelled')
      search = new AbortController()
      const { header, target, transactions } = template()
      try {
        const mined = await miner.mine(header, target, {
          signal: AbortSignal.any([signal, search.signal, closing.signal]),
        })
        const block = { ...signHeader(decodeHeader(mined.header), signer), transactions }
        search = undefined
        if ((await chain.addBlock(block)) === 'connected') return block
      } catch (error) {
        // Another block became the tip: this search is of no use, the next one may be.
        if (isEmrError(error, 'cancelled') && !signal.aborted) continue
        throw error
      }
    }
  }

  async function mineInTurn(signal: AbortSignal): Promise<Block> {
    const block = await serial(() => mine(signal))
    await onMined(block)
    return block
  }

  /** Plans the next block of this node's own, unless one is planned. */
  function wake(): void {
    if (interval === undefined || !started || timer || closing.signal.aborted) return
    if (mempool.size().transactions === 0) return
    const due = lastChange + interval * (1 + random() / 2)
    timer = setTimeout(() => mineAlone(interval), Math.max(0, due - now()))
  }

  async function mineAlone(least: number): Promise<void> {
    try {
      // The tip may have moved since this was planned; then it is planned again.
      if (now() >= lastChange + least && mempool.size().transactions > 0) await mineInTurn(closing.signal)
    } catch (error) {
      if (!closing.signal.aborted) onTrouble(error)
    } finally {
      timer = undefined
      wake()
    }
  }

  return {
    mine: mineInTurn,
    automatic: interval !== undefined,
    start() {
      started = true
      miner.warm()
      wake()
    },
    wake,
    async close() {
      clearTimeout(timer)
      closing.abort(new EmrError('closing'))
      await miner.close()
    },
  }
}

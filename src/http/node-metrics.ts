import type { NodeStatus } from '../node/node-status.js'

/** One value, or one for each value of the metric's label. */
type Reading = number | readonly (readonly [label: string, value: number])[]

/** A number about the node, by the naming rules of Prometheus. docs/operations.md lists them; a test compares. */
export interface NodeMetric {
  readonly name: string
  readonly kind: 'gauge' | 'counter'
  readonly help: string
  readonly label?: string
  read(status: NodeStatus): Reading
}

const gauge = (name: string, help: string, read: (status: NodeStatus) => Reading, label?: string): NodeMetric => ({
  name,
  kind: 'gauge',
  help,
  read,
  ...(label === undefined ? {} : { label }),
})
const counter = (name: string, help: string, read: (status: NodeStatus) => Reading, label?: string): NodeMetric => ({
  ...gauge(name, help, read, label),
  kind: 'counter',
})

/** What `/metrics` says of the chain, the mempool, the peers, the miner and the stores. */
export const nodeMetrics: readonly NodeMetric[] = [
  gauge('emrchain_info', 'Version of the node; always 1.', ({ version }) => [[version, 1]], 'version'),
  gauge('emrchain_up_seconds', 'Time since the node was opened.', ({ now, startedAt }) => (now - startedAt) / 1_000),

  gauge('emrchain_chain_height', 'Height of the tip; genesis has 0.', ({ tip }) => tip.header.height),
  gauge('emrchain_chain_tip_timestamp_seconds', 'Time of the tip since 1970.', ({ tip }) => tip.header.time / 1_000),
  gauge(
    'emrchain_chain_tip_age_seconds',
    'Time since that of the tip; negative where the tip is ahead of the clock.',
    ({ now, tip }) => (now - tip.header.time) / 1_000,
  ),
  gauge('emrchain_chain_work_hashes', 'Expected hashes of the whole chain.', ({ tip }) => Number(tip.work)),
  gauge('emrchain_chain_next_work_hashes', 'Expected hashes of the next block.', ({ next }) => Number(next.work)),
  gauge('emrchain_sync_blocks_behind', 'Blocks that the best tip of any peer is higher.', ({ sync, tip }) =>
    Math.max(0, sync.bestHeight - tip.header.height),
  ),

  counter(
    'emrchain_blocks_connected_total',
    'Blocks that came to the main chain.',
    ({ tally }) => tally.blocks.connected,
  ),
  counter('emrchain_blocks_mined_total', 'Blocks that this node found.', ({ tally }) => tally.blocks.mined),
  counter(
    'emrchain_blocks_refused_total',
    'Blocks and runs of headers that were refused, by the code of docs/errors.md.',
    ({ tally }) => [...tally.blocks.refused],
    'code',
  ),
  counter(
    'emrchain_reorganisations_total',
    'Changes of the main chain in which blocks left it.',
    ({ tally }) => tally.reorganisations.count,
  ),
  counter(
    'emrchain_reorganised_blocks_total',
    'Blocks that left the main chain.',
    ({ tally }) => tally.reorganisations.blocks,
  ),
  gauge(
    'emrchain_reorganisation_deepest_blocks',
    'Most blocks that left the main chain at once.',
    ({ tally }) => tally.reorganisations.deepest,
  ),

  counter(
    'emrchain_transactions_connected_total',
    'Transactions of blocks that came to the main chain; its rate is the speed of sync.',
    ({ tally }) => tally.transactions.connected,
  ),
  counter(
    'emrchain_transactions_accepted_total',
    'Transactions that were taken in to wait for a block.',
    ({ tally }) => tally.transactions.accepted,
  ),
  counter(
    'emrchain_transactions_refused_total',
    'Transactions that were refused, by the code of docs/errors.md.',
    ({ tally }) => [...tally.transactions.refused],
    'code',
  ),
  gauge('emrchain_mempool_transactions', 'Transactions that wait for a block.', ({ mempool }) => mempool.transactions),
  gauge('emrchain_mempool_bytes', 'Bytes of the transactions that wait.', ({ mempool }) => mempool.bytes),

  gauge(
    'emrchain_peers',
    'Peers by state: answering, failing, unheard.',
    ({ peerStates }) => Object.entries(peerStates),
    'state',
  ),
  gauge('emrchain_mining_active', '1 while a search for a block runs.', ({ miner }) => Number(miner.searching)),
  counter('emrchain_mining_hashes_total', 'Nonces that were tried.', ({ miner }) => miner.hashes),
  gauge(
    'emrchain_mining_hashes_per_second',
    'Speed of the search that runs; 0 while none does.',
    ({ miner }) => miner.hashesPerSecond,
  ),
  gauge('emrchain_custody_deposits', 'Key shares that are kept for others.', ({ custody }) => custody.deposits),
  counter(
    'emrchain_custody_releases_total',
    'Shares that were given out, each with a receipt.',
    ({ custody }) => custody.releases.given,
  ),
  counter(
    'emrchain_custody_releases_refused_total',
    'Requests for a share that were refused, by the code of docs/errors.md.',
    ({ custody }) => [...custody.releases.refused],
    'code',
  ),
  counter(
    'emrchain_custody_handovers_total',
    'Shares that went from custodian to custodian, by direction: given, taken.',
    ({ custody }) => Object.entries(custody.handovers),
    'direction',
  ),
  gauge(
    'emrchain_custody_erasures_waiting',
    'Erasures of the chain that are not carried out here, or whose receipt is not on the chain.',
    ({ custody }) => custody.erasuresWaiting,
  ),
  gauge(
    'emrchain_custody_restoring',
    '1 while a restored node has not heard its peers, and gives nothing out.',
    ({ custody }) => Number(custody.isRestoring),
  ),
  gauge(
    'emrchain_file_store_healthy',
    '1 while the file store is well, by its kind.',
    ({ fileStore }) => [[fileStore.kind, Number(fileStore.state === 'ok')]],
    'kind',
  ),
]

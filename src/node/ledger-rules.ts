import { isPreferred } from '../consensus/fork-choice.js'
import type { LedgerOptions } from '../ledger/ledger.js'
import { genesisSections, hashResults } from '../protocol/block.js'
import { genesisHeader } from '../protocol/header.js'
import type { NetworkParameters } from '../protocol/network-parameters.js'
import { createBlockReader, type NetworkBlocks } from './block-facts.js'

/** How the ledger of a network is opened. */
export function ledgerRules(network: NetworkParameters): LedgerOptions & NetworkBlocks {
  return {
    ...createBlockReader(network),
    parametersBlock: { cid: network.cid, bytes: network.bytes },
    genesis: genesisSections(genesisHeader(network, hashResults(new Uint8Array(0)))),
    prefer: (a, b) => isPreferred({ id: a.id, work: a.totalWork }, { id: b.id, work: b.totalWork }),
  }
}

import { isValidPrototypeChain, prototypeBlockHash } from './check-prototype-rules.js'
import {
  firstUserOf,
  forgeGenesis,
  forgeHistory,
  forgeLongerChain,
  forgeNewestBlock,
  forgeUser,
  type PrototypeBlocks,
} from './prototype-forgeries.js'
import { readPrototypeChain } from './read-prototype-chain.js'

/** One thing that the prototype's rules do not protect, shown on the given chain. */
export interface PrototypeLimit {
  readonly name: string
  readonly sentence: string
  /** What was measured or computed to show it: hashes, numbers of blocks, milliseconds. */
  readonly facts: Readonly<Record<string, string | number>>
}

interface Forgery {
  readonly blocks: PrototypeBlocks
  readonly ms: number
}

const forge = (make: (blocks: PrototypeBlocks) => PrototypeBlocks, blocks: PrototypeBlocks): Forgery => {
  const start = performance.now()
  const forged = make(blocks)
  return { blocks: forged, ms: performance.now() - start }
}

const hashOfNewest = (blocks: PrototypeBlocks): string => prototypeBlockHash(blocks.at(-1) ?? blocks[0])
const inMilliseconds = (ms: number): string => `${ms.toPrecision(2)} ms`
const inBlocks = (count: number): string => (count === 1 ? '1 block' : `${count} blocks`)

/**
 * Makes six forgeries of `blocks`, which must be valid by the prototype's rules, and applies the same rules to each.
 * Returns a limit for each forgery that differs from the chain and that the rules accept. Searches one nonce
 * (about 65,000 hashes), and hashes each block a dozen times.
 */
export const showPrototypeLimits = (blocks: PrototypeBlocks): PrototypeLimit[] => {
  const count = blocks.length
  const newestHash = hashOfNewest(blocks)
  const limits: PrototypeLimit[] = []

  const show = (
    { blocks: forged, ms }: Forgery,
    name: string,
    sentence: string,
    facts: PrototypeLimit['facts'] = {},
  ) => {
    const forgedHash = hashOfNewest(forged)
    if (forgedHash === newestHash || !isValidPrototypeChain(forged)) return
    limits.push({ name, sentence, facts: { ...facts, newestHash, forgedHash, ms } })
  }

  show(
    forge(forgeNewestBlock, blocks),
    'newest_block',
    `The newest block is not protected: block ${count} with one more record passes, because no later block names its hash.`,
  )

  const foreign = forge(forgeGenesis, blocks)
  show(
    foreign,
    'any_genesis',
    'Any first block is accepted: this chain behind another first block, dated 1970, passes.',
    { genesisHash: prototypeBlockHash(blocks[0]), forgedGenesisHash: prototypeBlockHash(foreign.blocks[0]) },
  )

  const history = forge(forgeHistory, blocks)
  show(
    history,
    'work_without_contents',
    `Proof of work does not depend on the contents: a record was forged into block 1 and the chain of ${inBlocks(count)} linked anew in ${inMilliseconds(history.ms)}, every nonce as before, and it passes.`,
    { blocks: count },
  )

  const longer = forge(forgeLongerChain, blocks)
  if (longer.blocks.length > count) {
    show(
      longer,
      'longest_not_most_work',
      `The longest chain wins, not the one with the most work: the forged chain with one block more took ${inMilliseconds(longer.ms)}, passes, and would replace this one on every node.`,
      { blocks: count, forgedBlocks: longer.blocks.length },
    )
  }

  const user = firstUserOf(blocks)
  show(
    forge(forgeUser, blocks),
    'no_signatures',
    user === undefined
      ? 'Records carry no signatures: a record in the name of any user, without any key, passes.'
      : `Records carry no signatures: one more record in the name of user ${JSON.stringify(user)}, without any key of theirs, passes.`,
  )

  const claim = count + 999
  const claimed = readPrototypeChain(JSON.stringify({ chain: blocks, length: claim }))
  if (claimed.claimedLength !== claimed.blocks.length && isValidPrototypeChain(claimed.blocks)) {
    limits.push({
      name: 'claimed_length',
      sentence: `The length of a chain is only claimed: ${inBlocks(count)} sent with the length ${claim} pass, because no rule counts them.`,
      facts: { blocks: count, claimedLength: claim },
    })
  }
  return limits
}

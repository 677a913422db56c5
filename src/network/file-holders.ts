import type { CID } from 'multiformats/cid'
import type { PeerClient } from './peer-client.js'

/** What peers say of who keeps some files. */
export interface FileHolders {
  /** Addresses of the peers that say that they keep a file, by the text of its CID; those without any are not there. */
  readonly holders: ReadonlyMap<string, readonly string[]>
  /** Peers that were not asked or did not answer, and so may keep any of them. */
  readonly silent: readonly string[]
}

/** Peers that are asked at once. */
const AT_ONCE = 8
/** How long all of them have together, in ms. */
const PATIENCE = 5_000

/**
 * Asks each of these peers which of the files it keeps. Nothing is held against one that does not answer: it may be of a
 * version that does not know the question.
 */
export async function askHolders(
  peers: readonly string[],
  client: Pick<PeerClient, 'heldFiles'>,
  { cids, signal }: { cids: readonly CID[]; signal: AbortSignal },
): Promise<FileHolders> {
  const holders = new Map<string, string[]>()
  const silent: string[] = []
  const until = AbortSignal.any([signal, AbortSignal.timeout(PATIENCE)])
  const waiting = [...peers]
  async function askOneAfterAnother(): Promise<void> {
    for (let peer = waiting.shift(); peer !== undefined; peer = waiting.shift()) {
      try {
        for (const cid of await client.heldFiles(peer, cids, until)) {
          const known = holders.get(cid)
          if (known) known.push(peer)
          else holders.set(cid, [peer])
        }
      } catch {
        silent.push(peer)
      }
    }
  }
  if (cids.length > 0) await Promise.all(Array.from({ length: AT_ONCE }, askOneAfterAnother))
  for (const found of holders.values()) found.sort()
  return { holders, silent }
}

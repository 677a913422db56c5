import type { CID } from 'multiformats/cid'
import { EmrError, isEmrError } from '../errors.js'

/**
 * Asks peers one after another until one gives what is wanted.
 *
 * @param ask asks one peer; undefined means that it does not have it
 * @param take checks what came and keeps it; where it throws, the next peer is asked
 * @throws EmrError `file_unavailable` when none gave it, `cancelled`, and what the own disk refuses
 */
export async function fromAnyPeer<Given, Taken>(
  peers: readonly string[],
  steps: {
    ask: (peer: string) => Promise<Given | undefined>
    take: (given: Given) => Promise<Taken>
    onFailure: (peer: string, error: unknown) => void
  },
  { cid, signal }: { cid: CID; signal: AbortSignal },
): Promise<Taken> {
  for (const peer of peers) {
    try {
      const given = await steps.ask(peer)
      if (given !== undefined) return await steps.take(given)
    } catch (error) {
      if (signal.aborted) throw new EmrError('cancelled')
      if (isEmrError(error, 'disk_full') || isEmrError(error, 'disk_failed')) throw error
      steps.onFailure(peer, error)
    }
  }
  throw new EmrError('file_unavailable', undefined, { cid: cid.toString() })
}

import type { CID } from 'multiformats/cid'
import { EmrError } from '../errors.js'
import { idKey } from '../protocol/cid.js'
import { createDownloadJob, type DownloadJob } from './download-job.js'
import {
  DEFAULT_DOWNLOAD_LIMITS,
  type DownloadDependencies,
  type DownloadLimits,
  type WantedBlock,
} from './download-parts.js'

/** How many branches are fetched at one time. */
const MAX_JOBS = 8

export interface BodyDownload {
  /**
   * Fetches the bodies of the branch that ends so from this peer, together with every other peer that was named
   * for the same branch, and adds them to the chain in order. Resolves when the branch lacks nothing any more,
   * when it is no longer better than the main chain, or with `reorganised` when the peer has left it.
   *
   * @throws EmrError what this peer is to blame for: `peer_timeout`, `peer_unreachable`, `peer_misbehaved`, or the
   * code of a rule that a block of its branch breaks. Others go on without it.
   */
  take(peer: string, end: CID): Promise<'done' | 'reorganised'>
  close(): void
}

export function createBodyDownload(
  dependencies: DownloadDependencies,
  limits: DownloadLimits = DEFAULT_DOWNLOAD_LIMITS,
): BodyDownload {
  const { chain } = dependencies
  const jobs = new Set<DownloadJob>()
  let closed = false

  function jobFor(wanted: readonly WantedBlock[]): DownloadJob | undefined {
    const ids = new Set(wanted.map(({ id }) => idKey(id)))
    for (const job of jobs) if (job.commonWith(ids) > 0) return job
    return undefined
  }

  function start(wanted: readonly WantedBlock[]): DownloadJob {
    const job = createDownloadJob(wanted, dependencies, limits, () => jobs.delete(job))
    jobs.add(job)
    return job
  }

  return {
    async take(peer, end) {
      for (let wanted = chain.missing(end); wanted.length > 0 && !closed; wanted = chain.missing(end)) {
        const known = jobFor(wanted)
        // The others' branches are not this peer's fault: it has its turn at the next round.
        if (!known && jobs.size >= MAX_JOBS) return 'done'
        const job = known ?? start(wanted)
        const before = wanted.length
        const result = await job.join(peer, new Set(wanted.map(({ id }) => idKey(id))))
        if (result === 'reorganised') return result
        const rest = chain.missing(end)
        if (rest.length >= before && !jobFor(rest)) return 'done'
      }
      return 'done'
    },
    close() {
      closed = true
      for (const job of jobs) job.end(new EmrError('closing'))
    },
  }
}

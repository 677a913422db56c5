import { setTimeout as pause } from 'node:timers/promises'
import type { CID } from 'multiformats/cid'
import { Agent, request } from 'undici'
import { EmrError } from '../../errors.js'
import { type Static, Type, Value } from '../../typebox.js'
import { abortError } from '../abortable.js'
import type { Replication } from '../file-store.js'
import { daemonError, saidBy } from './rpc-error.js'
import { authorizationHeaders, withoutUser } from './url-user.js'

/** What the REST API of an IPFS Cluster knows of the copies of a file (ipfscluster.io/documentation/reference/api). */
export interface ClusterStatus {
  /** Where the copies are; undefined for a file that the cluster does not keep. */
  of(cid: CID, signal: AbortSignal): Promise<Replication | undefined>
  /**
   * Resolves when as many machines have pinned the file as the cluster is to keep copies at least.
   *
   * @throws EmrError `file_store_timeout`, and `file_store_failed` where the cluster has let go of the file
   */
  copied(cid: CID, signal: AbortSignal): Promise<void>
  /** Resolves when a cluster answers within `ms`. */
  answers(ms: number, signal: AbortSignal): Promise<void>
  close(): Promise<void>
}

export interface ClusterStatusOptions {
  /** The REST API, such as http://127.0.0.1:9094. */
  readonly url: URL
  readonly connectMs: number
  readonly answerMs: number
  /** How long the copies may take. */
  readonly copyMs: number
}

/** Of one pin (`GET /allocations/CID`). */
const Allocation = Type.Object({ replication_factor_min: Type.Integer(), replication_factor_max: Type.Integer() })
/** Of one file on each machine (`GET /pins/CID`). */
const PinStatus = Type.Object({
  peer_map: Type.Record(
    Type.String(),
    Type.Object({ peername: Type.String(), status: Type.String(), error: Type.Optional(Type.String()) }),
  ),
})

/** Of the program (`GET /version`). */
const Version = Type.Object({ version: Type.String() })

const NO_CLUSTER = 'What answers is not IPFS Cluster.'
const MAX_ANSWER_BYTES = 1024 * 1024
const FIRST_PAUSE = 50
const LONGEST_PAUSE = 1_000
const MAX_TEXT = 200

export function createClusterStatus({ url, connectMs, answerMs, copyMs }: ClusterStatusOptions): ClusterStatus {
  const headers = authorizationHeaders(url, undefined)
  const dispatcher = new Agent({ connect: { timeout: connectMs }, maxResponseSize: MAX_ANSWER_BYTES })

  /** Undefined where the cluster says that there is no such thing. */
  async function ask<T extends typeof Allocation | typeof PinStatus | typeof Version>(
    schema: T,
    path: string,
    caller: AbortSignal,
    ms = answerMs,
  ): Promise<Static<T> | undefined> {
    const limit = AbortSignal.timeout(ms)
    const signal = AbortSignal.any([caller, limit])
    try {
      const answer = await request(new URL(path, withoutUser(url)), { dispatcher, headers, signal })
      const text = await answer.body.text()
      if (answer.statusCode === 404) return undefined
      if (answer.statusCode !== 200) throw saidBy(`${answer.statusCode} ${text}`)
      const json: unknown = JSON.parse(text)
      if (!Value.Check(schema, json)) throw new EmrError('file_store_failed', NO_CLUSTER)
      return json
    } catch (error) {
      if (caller.aborted) throw abortError(caller)
      if (limit.aborted) throw new EmrError('file_store_timeout', undefined, { ms })
      throw daemonError(error)
    }
  }

  async function of(cid: CID, signal: AbortSignal): Promise<Replication | undefined> {
    const allocation = await ask(Allocation, `/allocations/${cid}`, signal)
    if (!allocation) return undefined
    const { peer_map = {} } = (await ask(PinStatus, `/pins/${cid}`, signal)) ?? {}
    const machines = Object.entries(peer_map)
      .map(([id, { peername, status, error }]) => ({
        name: (peername || id).slice(0, MAX_TEXT),
        state: status.slice(0, MAX_TEXT),
        ...(error ? { error: error.slice(0, MAX_TEXT) } : {}),
      }))
      .sort((a, b) => (a.name < b.name ? -1 : 1))
    return {
      pinned: machines.filter(({ state }) => state === 'pinned').length,
      wanted: { least: allocation.replication_factor_min, most: allocation.replication_factor_max },
      machines,
    }
  }

  return {
    of,

    async copied(cid, signal) {
      const end = performance.now() + copyMs
      for (let wait = FIRST_PAUSE; ; wait = Math.min(2 * wait, LONGEST_PAUSE)) {
        const found = await of(cid, signal)
        if (!found) throw new EmrError('file_store_failed', 'The cluster does not keep the file.')
        const { least } = found.wanted
        // One on every machine is written as -1.
        if (found.pinned >= (least > 0 ? least : found.machines.length)) return
        if (performance.now() > end) throw new EmrError('file_store_timeout', undefined, { ms: copyMs })
        await pause(wait, undefined, { signal }).catch(() => undefined)
        if (signal.aborted) throw abortError(signal)
      }
    },

    async answers(ms, signal) {
      if (!(await ask(Version, '/version', signal, ms))) throw new EmrError('file_store_failed', NO_CLUSTER)
    },

    close: () => dispatcher.destroy(),
  }
}

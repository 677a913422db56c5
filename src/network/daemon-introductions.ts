import { isIP } from 'node:net'
import { EmrError } from '../errors.js'
import { type DaemonAnswer, type DaemonMessage, MAX_DAEMON_ADDRESSES } from '../protocol/peer-messages.js'
import type { AddressPolicy } from './address-policy.js'
import { isLoopback, readDaemonAddress } from './daemon-address.js'
import { type ResolveAll, resolveBySystem } from './guarded-connector.js'
import type { PeerClient } from './peer-client.js'

/** Pause between two times that a peer is told, in ms: connections of daemons end, and their addresses change. */
const TELL_AGAIN = 60_000
/** Pause before a peer without a daemon is told again. */
const TELL_DAEMONLESS_AGAIN = 600_000
/** Least time between two dials at a peer's word. */
const DIAL_AGAIN = 10_000

/** A daemon: its peer id, and the multiaddresses at which it says that it answers, without the id. */
interface Daemon {
  readonly id: string
  readonly addresses: readonly string[]
}

/** The IPFS daemon of this node. */
export interface OwnDaemon {
  /** Whether it runs on this machine, so that loopback means the same to it. */
  readonly isLocal: boolean
  /** What it announces of itself. */
  self(call: { signal: AbortSignal }): Promise<Daemon>
  /** Dials another at one of these addresses, unless they are connected; true when they are. */
  connect(daemon: Daemon, call: { signal: AbortSignal }): Promise<boolean>
}

export interface DaemonIntroductionsDependencies {
  readonly client: Pick<PeerClient, 'introduceDaemon'>
  readonly policy: AddressPolicy
  /** Absent where the files are kept without one. */
  readonly daemon: OwnDaemon | undefined
  now(): number
  readonly resolveAll?: ResolveAll | undefined
  /** Hears whether the daemon of a peer was reached, for the log. */
  onDialled(peer: string, outcome: { id: string; connected: boolean; refused: number }): void
  /** Hears why a peer was not told, or its daemon not dialled. */
  onTrouble(peer: string, error: unknown): void
}

/**
 * Makes the IPFS daemons of nodes that know each other connect, so that blocks go from daemon to daemon. Each node tells
 * its peers, in a signed request, what its daemon announces; loopback addresses only a peer on this machine.
 */
export interface DaemonIntroductions {
  /** Tells a peer that was just reached, unless it was told a while ago. Nobody needs to wait for it. */
  tell(peer: string): Promise<void>
  /**
   * Takes what a peer told, and dials its daemon where the address policy allows it; does not wait for that.
   *
   * @param peer the address at which it proved its key
   */
  told(peer: string, message: DaemonMessage): DaemonAnswer
  /** Whether the daemon of any peer was reached, at the last try. */
  hasReached(): boolean
  close(): Promise<void>
}

export function createDaemonIntroductions(dependencies: DaemonIntroductionsDependencies): DaemonIntroductions {
  const { client, policy, daemon, now, resolveAll = resolveBySystem, onDialled, onTrouble } = dependencies
  const tellAt = new Map<string, number>()
  const dialAt = new Map<string, number>()
  const telling = new Set<string>()
  const reached = new Set<string>()
  const running = new Set<Promise<void>>()
  const closing = new AbortController()
  const { signal } = closing

  /** Runs it; what goes wrong is the log's, since blocks can be had without. */
  function run(peer: string, act: () => Promise<void>): Promise<void> {
    const done: Promise<void> = act()
      .catch((error: unknown) => {
        if (!signal.aborted) onTrouble(peer, error)
      })
      .finally(() => running.delete(done))
    running.add(done)
    return done
  }

  /** Notes when something is due again, and forgets what is due by now. */
  function noteUntil(due: Map<string, number>, peer: string, pause: number): void {
    for (const [other, time] of due) if (time <= now()) due.delete(other)
    due.set(peer, now() + pause)
  }

  async function tellNow(peer: string, own: OwnDaemon): Promise<void> {
    const { id, addresses } = await own.self({ signal })
    const isNear = own.isLocal && isLoopback(new URL(peer).hostname)
    const shown = readable(addresses).filter(({ ip }) => isNear || !isLoopback(ip))
    if (shown.length === 0) return
    const told = { id, addresses: shown.slice(0, MAX_DAEMON_ADDRESSES).map(({ text }) => text) }
    noteUntil(tellAt, peer, TELL_AGAIN)
    const { taken } = await client.introduceDaemon(peer, told)
    if (!taken) noteUntil(tellAt, peer, TELL_DAEMONLESS_AGAIN)
  }

  async function dial(peer: string, { id, addresses }: DaemonMessage, own: OwnDaemon): Promise<void> {
    const { hostname } = new URL(peer)
    const isNear = own.isLocal && isLoopback(hostname)
    const ofPeer = isIP(hostname.replace(/^\[(.*)\]$/, '$1')) ? [] : await resolve(hostname)
    // A name that the operator trusts may stand for any address; what the peer says may not.
    const mayDial = (ip: string): boolean =>
      (isNear || !isLoopback(ip)) && (policy.allowsAddress(ip, ip) || ofPeer.includes(ip))
    const allowed = readable(addresses).filter(({ ip }) => mayDial(ip))
    const daemonOfPeer = { id, addresses: allowed.map(({ text }) => text) }
    const connected = allowed.length > 0 && (await own.connect(daemonOfPeer, { signal }))
    if (connected) reached.add(peer)
    else reached.delete(peer)
    onDialled(peer, { id, connected, refused: addresses.length - allowed.length })
  }

  /** The addresses of a peer's name that this node may call. */
  const resolve = (name: string): Promise<string[]> =>
    new Promise((found, failed) => {
      resolveAll(name, (error, addresses) => {
        if (error) failed(new EmrError('peer_unreachable', undefined, {}, { cause: error }))
        else found(addresses.map(({ address }) => address).filter((ip) => policy.allowsAddress(ip, name)))
      })
    })

  return {
    async tell(peer) {
      if (!daemon || signal.aborted || (tellAt.get(peer) ?? 0) > now()) return
      // One call at a time. Where the own daemon does not answer, it is asked again when the peer is next reached.
      if (telling.has(peer)) return
      telling.add(peer)
      await run(peer, () => tellNow(peer, daemon).finally(() => telling.delete(peer)))
    },

    told(peer, message) {
      if (!daemon) return { taken: false }
      if (!signal.aborted && (dialAt.get(peer) ?? 0) <= now()) {
        noteUntil(dialAt, peer, DIAL_AGAIN)
        void run(peer, () => dial(peer, message, daemon))
      }
      return { taken: true }
    },

    hasReached: () => reached.size > 0,

    async close() {
      closing.abort()
      await Promise.all(running)
    },
  }
}

const readable = (addresses: readonly string[]) => addresses.flatMap((text) => readDaemonAddress(text) ?? [])

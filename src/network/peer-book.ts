import { EmrError, type ErrorCode, isEmrError } from '../errors.js'
import type { HelloMessage, TipMessage } from '../protocol/peer-messages.js'
import { pauseAfter } from './backoff.js'
import { BAN_POINTS, BAN_TIME, costOf, NO_POINTS, type Points, pointsNow } from './misbehaviour.js'
import type { Ban, PeerStore } from './peer-notes.js'
import { readNote } from './peer-notes.js'

/** How many peers are kept that came by themselves: in all, and of one host. */
export const DEFAULT_PEER_LIMITS = { met: 96, metOfOneHost: 48 }
/** How many keys without an address, and how many banned or blocked addresses, are remembered. */
const MAX_STRANGERS = 1_000
const MAX_BARRED = 1_000

/**
 * - `new`: it has not been reached since this node started
 * - `connected`: the last call succeeded
 * - `backing_off`: calls failed; it is called again at `until`
 * - `banned`: for `reason`, until `until`
 * - `blocked`: by the operator
 */
export type PeerState = 'new' | 'connected' | 'backing_off' | 'banned' | 'blocked'

/** What this node knows of another. */
export interface Peer {
  /** Scheme, host and port. */
  readonly address: string
  /** Its Ed25519 key, hexadecimal, which it proved at this address. */
  readonly key?: string
  readonly tip?: TipMessage
  /** When it last answered or called, in ms since 1970. */
  readonly seenAt?: number
  /** Why the last call failed; absent while all is well. */
  readonly failure?: ErrorCode
  readonly state: PeerState
  /** End of the pause or of the ban, in ms since 1970. */
  readonly until?: number
  /** Why it is banned. */
  readonly reason?: ErrorCode
  /** Points for misbehaviour: 0 is clean, 100 is a ban. They fade. */
  readonly score: number
  /** Whether the operator named it. Such a peer is never dropped for others. */
  readonly chosen: boolean
}

/** A node that has just said how far it is. */
export type GreetedPeer = Peer & { readonly key: string; readonly tip: TipMessage }

/** Who sent something: a key, and the address at which it was proved, if it was. */
export interface Sender {
  readonly key: string
  readonly address?: string
}

export interface PeerBookDependencies {
  readonly store: PeerStore
  now(): number
  random(): number
  /** Hears of each ban, for the log. */
  onBan?(peer: Sender & Ban & { points: number }): void
  /** Hears that a note was not saved. */
  onTrouble?(error: unknown): void
}

/** The nodes that this one knows, what they did, and who may not come. Survives a restart. */
export interface PeerBook {
  /** In the order of their addresses, blocked and banned ones too. */
  list(): Peer[]
  get(address: string): Peer | undefined
  withKey(key: string): Peer | undefined
  /** Notes a peer that the operator named, whether it answers or not. */
  expect(address: string): void
  /**
   * Notes what a node said that has proved its key at this address. Where it has moved, its old address goes.
   * Undefined where there is no room for one that came by itself.
   */
  keep(address: string, hello: HelloMessage, how: { chosen: boolean }): Promise<GreetedPeer | undefined>
  forget(address: string): Promise<void>
  /** Notes that all went well with a peer. */
  noteSuccess(address: string): void
  /** Ends the pause of a peer that shows by a call of its own that it is there. */
  endPause(address: string): void
  /** Notes that a call failed: the peer is left alone for a while, and pays if it was its fault. */
  noteFailure(address: string, error: unknown): void
  /** Notes that what a peer sent was refused with this error. */
  judge(sender: Sender, error: unknown): void
  /** @throws EmrError `peer_blocked`, `peer_banned` */
  assertMayCall(address: string): void
  /** @throws EmrError as `assertMayCall`, for who signs with this key, or says that it answers at this address */
  assertWelcome(key: string, claimed?: string): void
  /** Whether a call is due: it is neither barred nor in a pause. */
  isDue(address: string): boolean
  /** Ends traffic with this address, in both directions. Durable when it resolves. */
  block(address: string): Promise<void>
  /** Takes a block or a ban back. */
  unblock(address: string): Promise<void>
}

interface Entry {
  readonly address: string
  key?: string
  tip?: TipMessage
  seenAt?: number
  failure?: ErrorCode
  failures: number
  retryAt: number
  points: Points
  ban?: Ban
  blocked: boolean
  chosen: boolean
}
type Standing = Pick<Entry, 'points' | 'ban'>

export function createPeerBook(dependencies: PeerBookDependencies, limits = DEFAULT_PEER_LIMITS): PeerBook {
  const { store, now, random, onBan, onTrouble } = dependencies
  const entries = new Map<string, Entry>()
  const strangers = new Map<string, Standing>()

  const isBanned = ({ ban }: Standing): boolean => ban !== undefined && ban.until > now()
  const isBarred = (entry: Entry): boolean => entry.blocked || isBanned(entry)
  const fresh = (address: string, chosen: boolean): Entry => ({
    address,
    failures: 0,
    retryAt: 0,
    points: NO_POINTS,
    blocked: false,
    chosen,
  })
  for (const [address, saved] of store.saved()) {
    entries.set(address, { ...fresh(address, true), ...readNote(saved) })
  }

  const ofKey = (key: string): Entry | undefined => [...entries.values()].find((entry) => entry.key === key)
  const save = ({ address, key, chosen, blocked, ban }: Entry): Promise<void> =>
    store.save(address, { ...(key ? { key } : {}), chosen, blocked, ...(ban ? { ban } : {}) })
  const saveLater = (entry: Entry): void => void save(entry).catch((error: unknown) => onTrouble?.(error))
  const drop = async (address: string): Promise<void> => {
    if (entries.delete(address)) await store.forget(address)
  }
  const dropLater = (address: string): void => void drop(address).catch((error: unknown) => onTrouble?.(error))

  function stateOf(entry: Entry): Pick<Peer, 'state' | 'until' | 'reason'> {
    if (entry.blocked) return { state: 'blocked' }
    if (entry.ban && isBanned(entry)) return { state: 'banned', until: entry.ban.until, reason: entry.ban.code }
    if (entry.failures > 0) return { state: 'backing_off', until: entry.retryAt }
    return { state: entry.seenAt === undefined ? 'new' : 'connected' }
  }
  function viewOf(entry: Entry): Peer {
    const { address, key, tip, seenAt, failure, chosen } = entry
    return {
      address,
      ...(key === undefined ? {} : { key }),
      ...(tip ? { tip } : {}),
      ...(seenAt === undefined ? {} : { seenAt }),
      ...(failure ? { failure } : {}),
      ...stateOf(entry),
      score: isBanned(entry) ? BAN_POINTS : Math.round(pointsNow(entry.points, now())),
      chosen,
    }
  }
  const view = (entry: Entry | undefined): Peer | undefined => entry && viewOf(entry)

  function assertFree(standing: Standing & { blocked?: boolean }): void {
    if (standing.blocked) throw new EmrError('peer_blocked')
    const { ban } = standing
    if (!ban || !isBanned(standing)) return
    throw new EmrError('peer_banned', `Until ${new Date(ban.until).toISOString()}, for ${ban.code}.`)
  }

  /** Adds to what somebody did, and bans him where it is too much. Tells whether it did. */
  function charge(standing: Standing, cost: number, who: Sender, code: ErrorCode): boolean {
    if (cost === 0 || isBanned(standing)) return false
    const points = pointsNow(standing.points, now()) + cost
    standing.points = { points, at: now() }
    if (points < BAN_POINTS) return false
    standing.ban = { until: now() + BAN_TIME, code }
    standing.points = NO_POINTS
    onBan?.({ ...who, ...standing.ban, points: Math.round(points) })
    return true
  }
  function chargePeer(entry: Entry, error: unknown): void {
    const who = { key: entry.key ?? '', address: entry.address }
    if (!isEmrError(error) || !charge(entry, costOf(error), who, error.code)) return
    saveLater(entry)
    const barred = [...entries.values()].filter((other) => !other.chosen && isBanned(other))
    barred.sort((a, b) => (a.ban?.until ?? 0) - (b.ban?.until ?? 0))
    for (const { address } of barred.slice(0, Math.max(0, barred.length - MAX_BARRED))) dropLater(address)
  }
  function chargeStranger(key: string, error: unknown): void {
    const cost = costOf(error)
    if (!isEmrError(error) || cost === 0) return
    const standing = strangers.get(key) ?? { points: NO_POINTS }
    // Set anew, it moves behind the others; the first is the one unheard of for longest.
    strangers.delete(key)
    strangers.set(key, standing)
    charge(standing, cost, { key }, error.code)
    const [oldest] = strangers.keys()
    if (strangers.size > MAX_STRANGERS && oldest !== undefined) strangers.delete(oldest)
  }

  /** Makes room for one more that came by itself. Those that fail go first; who works stays. */
  function hasRoom(address: string): boolean {
    const { hostname } = new URL(address)
    const met = [...entries.values()].filter((entry) => !entry.chosen && !isBarred(entry))
    const neighbours = met.filter((entry) => new URL(entry.address).hostname === hostname)
    const crowd = neighbours.length >= limits.metOfOneHost ? neighbours : met.length >= limits.met ? met : []
    if (crowd.length === 0) return true
    const [worst] = crowd.filter(({ failures }) => failures > 0).sort((a, b) => b.failures - a.failures)
    if (worst) dropLater(worst.address)
    return worst !== undefined
  }

  return {
    list: () => [...entries.values()].map(viewOf).sort((a, b) => (a.address < b.address ? -1 : 1)),
    get: (address) => view(entries.get(address)),
    withKey: (key) => view(ofKey(key)),

    expect(address) {
      const entry = entries.get(address) ?? fresh(address, true)
      entry.chosen = true
      entries.set(address, entry)
      saveLater(entry)
    },

    async keep(address, { key, tip }, { chosen }) {
      const before = entries.get(address)
      const elsewhere = [...entries.values()].filter((entry) => entry.key === key && entry.address !== address)
      const stranger = strangers.get(key)
      if (!before && elsewhere.length === 0 && !chosen && !hasRoom(address)) return undefined
      const old = before ?? elsewhere[0]
      const entry: Entry = {
        ...(before ?? fresh(address, chosen)),
        key,
        tip,
        seenAt: now(),
        chosen: chosen || [before, ...elsewhere].some((other) => other?.chosen),
        points: old?.points ?? stranger?.points ?? NO_POINTS,
        ...(old?.ban ? { ban: old.ban } : {}),
        blocked: before?.blocked === true || elsewhere.some(({ blocked }) => blocked),
      }
      entries.set(address, entry)
      strangers.delete(key)
      for (const other of elsewhere) entries.delete(other.address)
      if (before?.key !== key || before.chosen !== entry.chosen) await save(entry)
      for (const other of elsewhere) await store.forget(other.address)
      return { ...viewOf(entry), key, tip }
    },

    forget: drop,

    noteSuccess(address) {
      const entry = entries.get(address)
      if (!entry) return
      entry.failures = 0
      entry.retryAt = 0
      delete entry.failure
    },

    endPause(address) {
      const entry = entries.get(address)
      if (entry) entry.retryAt = 0
    },

    noteFailure(address, error) {
      const entry = entries.get(address)
      if (!entry) return
      entry.failure = isEmrError(error) ? error.code : 'internal'
      // Calls that ran side by side fail together: they are one failure, unless it is a lie.
      const isFirst = entry.retryAt <= now()
      if (isFirst || costOf(error) >= BAN_POINTS) chargePeer(entry, error)
      if (!isFirst) return
      entry.failures++
      entry.retryAt = now() + pauseAfter(entry.failures, random)
    },

    judge({ key, address }, error) {
      const entry = ofKey(key) ?? (address === undefined ? undefined : entries.get(address))
      if (entry) chargePeer(entry, error)
      else chargeStranger(key, error)
    },

    assertMayCall(address) {
      const entry = entries.get(address)
      if (entry) assertFree(entry)
    },

    assertWelcome(key, claimed) {
      const claimant = claimed === undefined ? undefined : entries.get(claimed)
      for (const standing of [ofKey(key), strangers.get(key), claimant]) if (standing) assertFree(standing)
    },

    isDue(address) {
      const entry = entries.get(address)
      return entry !== undefined && !isBarred(entry) && entry.retryAt <= now()
    },

    async block(address) {
      const entry = entries.get(address) ?? fresh(address, false)
      entry.blocked = true
      entries.set(address, entry)
      await save(entry)
    },

    async unblock(address) {
      const entry = entries.get(address)
      if (!entry) return
      if (entry.key === undefined && !entry.chosen) return drop(address)
      entry.blocked = false
      delete entry.ban
      entry.points = NO_POINTS
      entry.failures = 0
      entry.retryAt = 0
      await save(entry)
    },
  }
}

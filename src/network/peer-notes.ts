import { type ErrorCode, errors } from '../errors.js'
import { type Static, Type, Value } from '../typebox.js'

/** What of a peer outlives the process. */
export type PeerNote = {
  /** Its key, proved, hexadecimal. */
  readonly key?: string
  /** Whether the operator named it; else it came by itself. */
  readonly chosen: boolean
  readonly blocked: boolean
  readonly ban?: Ban
}

export type Ban = {
  /** ms since 1970. */
  readonly until: number
  readonly code: ErrorCode
}

/** Where notes are kept, by address. */
export interface PeerStore {
  /** As they were saved; older programs saved null. */
  saved(): Iterable<readonly [address: string, note: unknown]>
  save(address: string, note: PeerNote): Promise<void>
  forget(address: string): Promise<void>
}

const SavedNote = Type.Object({
  key: Type.Optional(Type.String({ pattern: '^[0-9a-f]{64}$' })),
  chosen: Type.Boolean(),
  blocked: Type.Boolean(),
  ban: Type.Optional(Type.Object({ until: Type.Integer(), code: Type.String() })),
})

/** A note as it was saved. What is not readable is a peer of which nothing is known. */
export function readNote(saved: unknown): PeerNote {
  if (!Value.Check(SavedNote, saved)) return { chosen: true, blocked: false }
  const { ban, ...rest } = saved
  return ban && Object.hasOwn(errors, ban.code) ? { ...rest, ban: asBan(ban) } : rest
}

const asBan = ({ until, code }: NonNullable<Static<typeof SavedNote>['ban']>): Ban => ({
  until,
  code: code as ErrorCode,
})

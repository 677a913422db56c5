import { failpoint } from '../failpoint.js'
import type { Database } from './database.js'
import { joinKey, keyAfter } from './keys.js'
import { statePrefix } from './layout.js'

/** Which release a receipt is of: ids of record, access and custodian. */
export interface ReleaseName {
  readonly record: Uint8Array
  readonly access: Uint8Array
  readonly custodian: Uint8Array
}

export interface ReleasePage {
  readonly after?: Pick<ReleaseName, 'access' | 'custodian'> | undefined
  readonly limit?: number | undefined
}

/** Signed receipts of releases, this node's own and those that others told it. They are in backups. */
export interface ReleaseLog {
  has(name: ReleaseName): boolean
  /** Durable when it resolves. A receipt of the same name stays as it is. @throws disk_full, disk_failed */
  put(name: ReleaseName, receipt: Uint8Array): Promise<void>
  /** Receipts of a record, by access and custodian, as many as `limit`, of those that come after this one. */
  of(record: Uint8Array, page?: ReleasePage): Uint8Array[]
}

export const createReleaseLog = (database: Database): ReleaseLog => {
  const keyOf = ({ record, access, custodian }: ReleaseName): Uint8Array =>
    joinKey(statePrefix.release, record, access, custodian)
  const has = (name: ReleaseName): boolean => database.get(keyOf(name)) !== undefined
  return {
    has,
    async put(name, receipt) {
      if (has(name)) return
      failpoint('release.put.begin')
      await database.write((writes) => writes.put(keyOf(name), receipt))
      failpoint('release.put.done')
    },
    of(record, { after, limit } = {}) {
      const all = joinKey(statePrefix.release, record)
      const start = after ? Buffer.concat([keyOf({ record, ...after }), Uint8Array.of(0)]) : all
      const rows = database.rows({ start, end: keyAfter(all), ...(limit === undefined ? {} : { limit }) })
      return rows.map(({ value }) => value)
    },
  }
}

/**
 * Key shares and sealed labels that this node keeps for others. Deposits lie under an epoch key. When one is erased,
 * those that stay are written again under a new key and the old key is destroyed, so that whatever pages of the
 * database, journals or copies still hold of it can no longer be opened.
 *
 * Erasing, each step durable before the next: the deposit is marked doomed; a new key is written; the epoch moves and
 * the doomed rows go; the other rows move, batch by batch; the old key is destroyed. A process that ends in between
 * goes on from there at the next start.
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { decode, encode } from '@ipld/dag-cbor'
import { EmrError } from '../errors.js'
import { failpoint } from '../failpoint.js'
import { isThere, readFormatVersion } from './data-folder.js'
import { createDatabase, type Database, openDatabase } from './database.js'
import { createEpochKeys } from './epoch-keys.js'
import { createErasureNotes, type ErasureNotes } from './erasure-notes.js'
import { joinKey, keyAfter, readUint64Key, uint32Key, uint64Key } from './keys.js'
import { dataFolderPaths, sharesPrefix } from './layout.js'
import { createShareMoves, type ShareMoves } from './share-moves.js'

/** What an author leaves with a custodian. */
export interface Deposit {
  /** `S_off`, 32 bytes. */
  readonly share: Uint8Array
  /** The sealed label; nobody here can open it. */
  readonly label: Uint8Array
  /** SHA-256 of the share. */
  readonly commitment: Uint8Array
  /** Id of the patient. */
  readonly patient: Uint8Array
  /** The author's 32 random bytes of the record. */
  readonly nonce: Uint8Array
  /** Bytes of the file's CID. */
  readonly file: Uint8Array
  /** Ed25519 key of who brought it. */
  readonly author: Uint8Array
  /** When it came, in ms since 1970. */
  readonly at: number
}

export interface Shares {
  /** Deposits that are kept. */
  count(): number
  /** A deposit by its id (32 bytes); undefined where there is none, or it is being erased. @throws index_damaged */
  get(id: Uint8Array): Deposit | undefined
  /**
   * Keeps a deposit, or another one in the place of that of the same id. Durable when it resolves. A new one waits for
   * its record, unless it is `claimed`.
   *
   * @throws disk_full, disk_failed
   */
  put(id: Uint8Array, deposit: Deposit, how?: { readonly claimed: boolean }): Promise<void>
  /** Deposits of this author that came at `since` or later and wait for their record. */
  waitingOf(author: Uint8Array, since: number): number
  /** Ids of deposits that came before this time and wait for their record. */
  waitingBefore(time: number): Uint8Array[]
  /** Notes that the record of a deposit is on the chain. Unknown ids are passed over. */
  claim(id: Uint8Array): Promise<void>
  /**
   * Destroys deposits: when it resolves, the key under which they were written is gone. Unknown ids are passed over.
   * They are not read any more from the call on.
   *
   * @throws disk_full, disk_failed; what is noted by then is finished at the next call or start
   */
  erase(ids: readonly Uint8Array[]): Promise<void>
  readonly erasures: ErasureNotes
  readonly moves: ShareMoves
  close(): Promise<void>
}

const EPOCH_KEY = Uint8Array.of(sharesPrefix.epoch)
const IV_LENGTH = 12
const TAG_LENGTH = 16
const ID_LENGTH = 32
const HEAD_LENGTH = 4 + IV_LENGTH
/** Deposits that move under a new key in one transaction. */
const BATCH = 256

const nameOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1')
const depositKey = (id: Uint8Array): Uint8Array => joinKey(sharesPrefix.deposit, id)
const doomedKey = (id: Uint8Array): Uint8Array => joinKey(sharesPrefix.doomed, id)
const waitingKey = (author: Uint8Array, id: Uint8Array): Uint8Array => joinKey(sharesPrefix.waiting, author, id)
const damaged = (detail: string): EmrError => new EmrError('index_damaged', detail, { database: 'shares' })

const epochOf = (sealed: Uint8Array): number => Buffer.from(sealed.buffer, sealed.byteOffset, 4).readUInt32BE()

function sealUnder(epoch: number, key: Uint8Array, id: Uint8Array, plain: Uint8Array): Uint8Array {
  const iv = randomBytes(IV_LENGTH)
  const cipher = createCipheriv('aes-256-gcm', key, iv)
  cipher.setAAD(depositKey(id))
  return Buffer.concat([uint32Key(epoch), iv, cipher.update(plain), cipher.final(), cipher.getAuthTag()])
}

function openUnder(key: Uint8Array, id: Uint8Array, sealed: Uint8Array): Uint8Array {
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(4, HEAD_LENGTH))
    decipher.setAAD(depositKey(id))
    decipher.setAuthTag(sealed.subarray(sealed.length - TAG_LENGTH))
    const plain = decipher.update(sealed.subarray(HEAD_LENGTH, sealed.length - TAG_LENGTH))
    return Buffer.concat([plain, decipher.final()])
  } catch {
    throw damaged('A deposit does not open with its epoch key.')
  }
}

/** All rows of a prefix, a page at a time. */
function* rowsOf(database: Database, prefix: number) {
  const end = keyAfter(Uint8Array.of(prefix))
  for (let start: Uint8Array = Uint8Array.of(prefix); ; ) {
    const page = database.rows({ start, end, limit: BATCH })
    yield* page
    const last = page.at(-1)
    if (!last) return
    start = Buffer.concat([last.key, Uint8Array.of(0)])
  }
}

/**
 * Opens the shares of a data folder, which the caller has locked and whose version is written; makes them where there
 * are none. What an erasure left unfinished is finished first.
 *
 * @throws index_damaged where the database or an epoch key is damaged or missing; data_folder_version, disk_full, disk_failed
 */
export const openShares = async (dataFolder: string): Promise<Shares> => {
  const paths = dataFolderPaths(dataFolder)
  const options = { folder: paths.shares, durable: true, owner: await readFormatVersion(paths) }
  if (!(await isThere(paths.shares))) await createDatabase(options)
  const database = await openDatabase(options)
  try {
    return await createShares(database, paths.shares)
  } catch (error) {
    await database.close()
    throw error
  }
}

async function createShares(database: Database, folder: string): Promise<Shares> {
  const keyFiles = createEpochKeys(folder)
  const keys = new Map<number, Uint8Array>()
  /** Ids of deposits that are being destroyed. */
  const doomed = new Set<string>()
  /** By author: ids and times of deposits that wait for their record. */
  const waiting = new Map<string, Map<string, number>>()
  const kept = new Set<string>()
  const putting = new Map<string, Promise<void>>()
  let epoch = 1
  let turn: Promise<unknown> = Promise.resolve()

  /** One change of what is there already at a time; new deposits need not wait for it. */
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const done = turn.then(work)
    turn = done.catch(() => undefined)
    return done
  }
  const keyOf = async (wanted: number): Promise<Uint8Array> => {
    const key = keys.get(wanted) ?? (await keyFiles.read(wanted))
    keys.set(wanted, key)
    return key
  }
  const opened = (id: Uint8Array, sealed: Uint8Array): Uint8Array => {
    const key = keys.get(epochOf(sealed))
    if (!key) throw damaged('A deposit is of an epoch without a key.')
    return openUnder(key, id, sealed)
  }
  const sealed = (id: Uint8Array, plain: Uint8Array): Uint8Array => {
    const key = keys.get(epoch)
    if (!key) throw damaged('The epoch has no key.')
    return sealUnder(epoch, key, id, plain)
  }
  const wait = (author: Uint8Array, id: Uint8Array, at: number): void => {
    const own = waiting.get(nameOf(author)) ?? new Map<string, number>()
    waiting.set(nameOf(author), own.set(nameOf(id), at))
  }
  const waitNoMore = (author: Uint8Array, id: Uint8Array): void => {
    const own = waiting.get(nameOf(author))
    own?.delete(nameOf(id))
    if (own?.size === 0) waiting.delete(nameOf(author))
  }
  const read = (id: Uint8Array): Deposit | undefined => {
    const row = database.get(depositKey(id))
    return row && decode<Deposit>(opened(id, row))
  }
  const store = async (id: Uint8Array, deposit: Deposit, claimed: boolean): Promise<void> => {
    const isNew = !kept.has(nameOf(id))
    const waits = isNew && !claimed
    const value = sealed(id, encode({ ...deposit }))
    kept.add(nameOf(id))
    if (waits) wait(deposit.author, id, deposit.at)
    try {
      await database.write((writes) => {
        writes.put(depositKey(id), value)
        if (waits) writes.put(waitingKey(deposit.author, id), uint64Key(deposit.at))
      })
    } catch (error) {
      if (isNew) kept.delete(nameOf(id))
      if (waits) waitNoMore(deposit.author, id)
      throw error
    }
  }

  /** Writes under the present key what is still under an older one. */
  const moveRest = async (): Promise<void> => {
    let batch: [Uint8Array, Uint8Array][] = []
    const flush = async (): Promise<void> => {
      const moved = batch
      batch = []
      await database.write((writes) => {
        for (const [key, value] of moved) writes.put(key, value)
      })
      failpoint('shares.erase.batch')
    }
    for (const { key, value } of rowsOf(database, sharesPrefix.deposit)) {
      const id = key.subarray(1)
      if (epochOf(value) === epoch) continue
      batch.push([key, sealed(id, opened(id, value))])
      if (batch.length >= BATCH) await flush()
    }
    if (batch.length > 0) await flush()
  }
  const destroyOldKeys = async (): Promise<void> => {
    await keyFiles.destroyOthers(epoch)
    for (const [former, key] of keys) {
      if (former === epoch) continue
      key.fill(0)
      keys.delete(former)
    }
  }
  /** Takes the doomed deposits out, under a new key. */
  const renew = async (): Promise<void> => {
    const going = [...doomed].map((name) => Uint8Array.from(Buffer.from(name, 'latin1')))
    const former = epoch
    // A number that no key here has had: a commit that failed may have left deposits under the one it was for.
    const next = Math.max(...keys.keys()) + 1
    keys.set(next, await keyFiles.make(next))
    failpoint('shares.erase.key')
    const authors = going.map((id) => ({ id, author: read(id)?.author }))
    // From here on deposits are written under the new key, in this commit or a later one.
    epoch = next
    try {
      await database.write((writes) => {
        writes.put(EPOCH_KEY, uint32Key(next))
        for (const { id, author } of authors) {
          writes.remove(depositKey(id))
          writes.remove(doomedKey(id))
          if (author) writes.remove(waitingKey(author, id))
        }
      })
    } catch (error) {
      epoch = former
      throw error
    }
    failpoint('shares.erase.moved')
    for (const { id, author } of authors) {
      doomed.delete(nameOf(id))
      kept.delete(nameOf(id))
      if (author) waitNoMore(author, id)
    }
    await moveRest()
    await destroyOldKeys()
    failpoint('shares.erase.done')
  }

  const start = async (): Promise<void> => {
    const row = database.get(EPOCH_KEY)
    for (const { key } of rowsOf(database, sharesPrefix.deposit)) kept.add(nameOf(key.subarray(1)))
    if (row) epoch = Buffer.from(row).readUInt32BE()
    else {
      if (kept.size > 0) throw damaged('Deposits are there, and no epoch.')
      // The key first: an epoch that is named has one.
      keys.set(epoch, await keyFiles.make(epoch))
      await database.write((writes) => writes.put(EPOCH_KEY, uint32Key(epoch)))
    }
    await keyOf(epoch)
    for (const { key, value } of rowsOf(database, sharesPrefix.waiting)) {
      wait(key.subarray(1, 1 + ID_LENGTH), key.subarray(1 + ID_LENGTH), readUint64Key(value, 0))
    }
    for (const { key } of rowsOf(database, sharesPrefix.doomed)) doomed.add(nameOf(key.subarray(1)))
    if (await keyFiles.hasOthers(epoch)) {
      for (const { value } of rowsOf(database, sharesPrefix.deposit)) await keyOf(epochOf(value))
      await moveRest()
      await destroyOldKeys()
    }
    if (doomed.size > 0) await renew()
  }
  await start()

  return {
    count: () => kept.size,
    get: (id) => (doomed.has(nameOf(id)) ? undefined : read(id)),

    async put(id, deposit, { claimed } = { claimed: false }) {
      failpoint('shares.put.begin')
      const name = nameOf(id)
      const before = putting.get(name)
      const done = (async () => {
        if (before) await before.catch(() => undefined)
        // What is there is changed in turn: moving it under another key must not put the old one back.
        await (kept.has(name) ? inTurn(() => store(id, deposit, claimed)) : store(id, deposit, claimed))
      })()
      putting.set(name, done)
      try {
        await done
      } finally {
        if (putting.get(name) === done) putting.delete(name)
      }
      failpoint('shares.put.done')
    },

    waitingOf: (author, since) => [...(waiting.get(nameOf(author))?.values() ?? [])].filter((at) => at >= since).length,

    waitingBefore: (time) =>
      [...waiting.values()]
        .flatMap((own) => [...own])
        .filter(([, at]) => at < time)
        .map(([name]) => Uint8Array.from(Buffer.from(name, 'latin1'))),

    async claim(id) {
      const author = read(id)?.author
      if (!author || !waiting.get(nameOf(author))?.has(nameOf(id))) return
      await database.write((writes) => writes.remove(waitingKey(author, id)))
      waitNoMore(author, id)
    },

    erase(ids) {
      const fresh = ids.filter((id) => kept.has(nameOf(id)) && !doomed.has(nameOf(id)))
      for (const id of fresh) doomed.add(nameOf(id))
      return inTurn(async () => {
        failpoint('shares.erase.begin')
        await database.write((writes) => {
          for (const id of fresh) writes.put(doomedKey(id), new Uint8Array(0))
        })
        failpoint('shares.erase.noted')
        if (doomed.size > 0) await renew()
        // A former call may have failed between its commit and the end of the old key.
        else if (await keyFiles.hasOthers(epoch)) {
          await moveRest()
          await destroyOldKeys()
        }
      })
    },

    erasures: createErasureNotes(database),
    moves: createShareMoves(database),

    async close() {
      await turn
      await database.close()
      for (const key of keys.values()) key.fill(0)
      keys.clear()
    },
  }
}

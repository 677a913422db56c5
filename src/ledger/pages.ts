/** The options and shapes that every thread and process that opens an LMDB folder must agree on. */
import { open, type RootDatabase } from 'lmdb'
import type { PackedWrites, PageWrite } from './page-writes.js'

export type Pages = RootDatabase<Buffer, Uint8Array>

/** What the commit thread is asked: a transaction, or to end. */
export type CommitRequest = PackedWrites | 'close'

export type CommitReply = { readonly done: true } | { readonly done: false; readonly code: number | string | null }

export const openPages = (folder: string, options: { durable: boolean } | { readOnly: true }): Pages =>
  open<Buffer, Uint8Array>({
    path: folder,
    noSubdir: false,
    encoding: 'binary',
    keyEncoding: 'binary',
    cache: false,
    // Plain LMDB commits: what is committed is synced, and a crash leaves the last commit, not a later guess.
    overlappingSync: false,
    ...('durable' in options ? { noSync: !options.durable } : options),
  })

/** To be called within a transaction. */
export const putAll = (pages: Pages, writes: Iterable<PageWrite>): void => {
  for (const [key, value] of writes) {
    if (value) pages.putSync(key, Buffer.from(value.buffer, value.byteOffset, value.byteLength))
    else pages.removeSync(key)
  }
}

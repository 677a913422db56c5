import type { CID } from 'multiformats/cid'
import { EmrError, type ErrorCode, isEmrError } from '../errors.js'
import { throwIfAborted } from '../files/abortable.js'
import { createBlockBuffers } from '../files/block-buffers.js'
import type { FileStore } from '../files/file-store.js'

/** What is wrong with a file that was to be whole, and what became of it. */
export interface FileDamage {
  readonly cid: CID
  /** `damaged`: a block of it is missing or is not as its CID says; `missing`: the store does not keep it any more. */
  readonly found: 'damaged' | 'missing'
  /** Whether a whole copy is in its place now. */
  readonly mended: boolean
  /** Where the damaged one lies beside the whole one, until the file is unpinned or erased. */
  readonly aside?: string
  /** Why it was not mended. */
  readonly code?: ErrorCode
}

export interface FileCheckCounts {
  /** Files that were read to their ends, or were found to be missing. */
  readonly files: number
  /** Bytes that were hashed. */
  readonly bytes: number
  readonly whole: number
  readonly mended: number
  /** Files that stay damaged or missing. */
  readonly lost: number
}

/** What a check says while it runs: first how many files there are, last the counts. */
export type FileCheckEvent =
  | { readonly event: 'begin'; readonly files: number }
  | { readonly event: 'progress'; readonly files: number; readonly bytes: number }
  | ({ readonly event: 'damage' } & FileDamage)
  | ({ readonly event: 'done' } & FileCheckCounts)

export interface FileCheck {
  readonly store: Pick<FileStore, 'has' | 'exportCar'>
  readonly files: readonly CID[]
  /** Whether the file is still to be there: it may be unpinned or erased while others are read. */
  isWanted(cid: CID): Promise<boolean>
  /** Puts a whole copy in the place of a damaged one. @throws EmrError where there is none */
  mend?(cid: CID, signal: AbortSignal): Promise<{ aside?: string | undefined }>
}

/** Bytes between two words of progress. */
const PROGRESS_EVERY = 64 * 1024 * 1024

/** What a read says of a file that is not whole. Any other error is about the store, and ends the check. */
const DAMAGE: readonly ErrorCode[] = ['file_damaged', 'file_unavailable', 'not_a_file']
const isDamage = (error: unknown): boolean => isEmrError(error) && DAMAGE.includes(error.code)

/** What may come of an attempt to mend one file and does not end the check of the others. */
const ENDS_ALL: readonly ErrorCode[] = ['cancelled', 'closing', 'disk_full', 'disk_failed']

/**
 * Reads each file to its end, every block checked against its CID, one after another in constant memory, and has those
 * that are not whole mended.
 *
 * @throws EmrError `cancelled`, and the failures of the store itself
 */
export async function* checkFiles(
  { store, files, isWanted, mend }: FileCheck,
  signal: AbortSignal,
): AsyncGenerator<FileCheckEvent, void, undefined> {
  const counts = { files: 0, bytes: 0, whole: 0, mended: 0, lost: 0 }
  yield { event: 'begin', files: files.length }
  for (const cid of files) {
    throwIfAborted(signal)
    if (!(await isWanted(cid))) continue
    let damage: unknown
    try {
      const buffers = createBlockBuffers()
      let told = counts.bytes
      for await (const piece of store.exportCar(cid, { signal, buffers })) {
        counts.bytes += piece.length
        buffers.giveBack(piece)
        if (counts.bytes - told < PROGRESS_EVERY) continue
        told = counts.bytes
        yield { event: 'progress', files: counts.files, bytes: counts.bytes }
      }
      // Blocks that a store has of a file that it does not keep are whole until it collects them.
      if (await store.has(cid, { signal })) counts.whole++
      else damage = new EmrError('file_unavailable')
    } catch (error) {
      if (!isDamage(error)) throw error
      damage = error
    }
    if (damage !== undefined) {
      if (!(await isWanted(cid))) continue
      const found = await damageOf(cid, damage, mend, signal)
      counts[found.mended ? 'mended' : 'lost']++
      yield { event: 'damage', ...found }
    }
    counts.files++
    yield { event: 'progress', files: counts.files, bytes: counts.bytes }
  }
  yield { event: 'done', ...counts }
}

async function damageOf(cid: CID, damage: unknown, mend: FileCheck['mend'], signal: AbortSignal): Promise<FileDamage> {
  const code = isEmrError(damage) ? damage.code : 'internal'
  const found = code === 'file_unavailable' ? 'missing' : 'damaged'
  if (!mend) return { cid, found, mended: false, code }
  try {
    const { aside } = await mend(cid, signal)
    return { cid, found, mended: true, ...(aside === undefined ? {} : { aside }) }
  } catch (error) {
    if (signal.aborted || !isEmrError(error) || ENDS_ALL.includes(error.code)) throw error
    return { cid, found, mended: false, code: error.code }
  }
}

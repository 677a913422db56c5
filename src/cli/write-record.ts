import { join } from 'node:path'
import { TAR_SUFFIX } from './folder/folder-entry.js'
import { writeOutput } from './write-output.js'

export interface WriteRecordOptions {
  /** Where to, as it was given. */
  readonly output: string
  /** Whether it is to lie in `output` under its own name. */
  readonly intoFolder: boolean
  /** Its own name. */
  readonly fileName: string
  readonly force?: boolean | undefined
  /** A recorded folder as one file. */
  readonly asTar?: boolean | undefined
}

/** Where a record was written, and its bytes; of a folder how many files, and the bytes of those. */
export interface WrittenRecord {
  readonly path: string
  readonly size: number
  readonly files?: number
}

/**
 * Writes the contents of a record: a recorded folder as a folder, everything else as a file.
 *
 * @throws EmrError those of `writeOutput` and `unpackFolder`
 */
export async function writeRecord(
  contents: AsyncGenerator<Uint8Array, void, undefined>,
  { output, intoFolder, fileName, force, asTar = false }: WriteRecordOptions,
): Promise<WrittenRecord> {
  const first = await contents.next()
  const whole = behind(first, contents)
  try {
    if (!asTar && fileName.endsWith(TAR_SUFFIX) && !first.done) {
      const { isFolderTar } = await import('./folder/read-folder.js')
      if (isFolderTar(first.value)) {
        const { unpackFolder } = await import('./folder/unpack-folder.js')
        const path = intoFolder ? join(output, fileName.slice(0, -TAR_SUFFIX.length)) : output
        return { path, ...(await unpackFolder(path, whole)) }
      }
    }
    const path = intoFolder ? join(output, fileName) : output
    return { path, size: await writeOutput(path, whole, { force }) }
  } finally {
    await contents.return()
  }
}

async function* behind(
  first: IteratorResult<Uint8Array, void>,
  rest: AsyncGenerator<Uint8Array, void, undefined>,
): AsyncGenerator<Uint8Array, void, undefined> {
  if (first.done) return
  yield first.value
  yield* rest
}

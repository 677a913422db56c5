import { EmrError } from '../errors.js'
import { createEmbeddedFileStore } from '../files/embedded/create-embedded-file-store.js'
import { isThere, readFormatVersion } from '../ledger/data-folder.js'
import { lockDataFolder } from '../ledger/data-lock.js'
import { dataFolderPaths } from '../ledger/layout.js'
import { checkFiles, type FileCheckEvent } from './check-files.js'

/**
 * Hashes every file of the embedded store in a data folder that no node uses, and changes none: there is no peer to
 * fetch from.
 *
 * @throws EmrError `path_not_found` where there is no embedded store, `data_folder_in_use`, `data_folder_version`,
 * `cancelled`, `disk_failed`
 */
export async function* checkDataFolder(
  folder: string,
  signal: AbortSignal,
): AsyncGenerator<FileCheckEvent, void, undefined> {
  const paths = dataFolderPaths(folder)
  if (!(await isThere(paths.version)) || !(await isThere(paths.files)))
    throw new EmrError('path_not_found', `There is no embedded file store in ${folder}.`)
  await readFormatVersion(paths)
  const lock = await lockDataFolder(paths)
  try {
    const store = await createEmbeddedFileStore({ folder: paths.files })
    try {
      const files = (await store.list({ signal })) ?? []
      yield* checkFiles({ store, files, isWanted: async () => true }, signal)
    } finally {
      await store.close()
    }
  } finally {
    await lock.release()
  }
}

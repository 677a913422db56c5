import { stat } from 'node:fs/promises'
import { basename } from 'node:path'
import { openRegularFile } from '../regular-file.js'
import { TAR_SUFFIX } from './folder-entry.js'

/** What is to be recorded. */
export interface Source {
  /** What the file is called before encryption: that of a folder is a tar. */
  readonly fileName: string
  readonly bytes: AsyncIterable<Uint8Array>
  /** Bytes that there will be. */
  readonly size: number
  /** Of a folder, how many files are in it. */
  readonly files?: number
  close(): Promise<void>
}

/** Opens a file, or looks through a folder. @throws EmrError `input_unreadable`, `folder_unfit` */
export async function openSource(path: string): Promise<Source> {
  const isFolder = await stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  )
  if (!isFolder) {
    const { bytes, size, close } = await openRegularFile(path)
    return { fileName: basename(path), bytes, size, close }
  }
  const { scanFolder } = await import('./scan-folder.js')
  const { packFolder } = await import('./pack-folder.js')
  const folder = await scanFolder(path)
  const { files, size } = folder
  return { fileName: folder.name + TAR_SUFFIX, bytes: packFolder(folder), size, files, close: async () => undefined }
}

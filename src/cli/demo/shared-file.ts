import { writeFile } from 'node:fs/promises'
import { basename, extname, join, resolve } from 'node:path'
import { openRegularFile } from '../regular-file.js'
import { fingerprint } from './encrypted-copy.js'
import { type DemoFile, loadMrImage } from './mr-image.js'

/** The file that the demonstration shares. */
export interface SharedFile {
  readonly path: string
  /** What it is called in the network, and what the record calls it. */
  readonly name: string
  readonly EHR_name: string
  /** What it is, and what a reader has to know about it. */
  readonly source: string
  readonly size: number
  readonly sha256: string
}

/**
 * The file at `path`, which is only read; without one the MR image, written into `folder`.
 *
 * @throws EmrError `input_unreadable`, `demo_image_missing`
 */
export async function openSharedFile(
  path: string | undefined,
  folder: string,
  signal: AbortSignal,
): Promise<SharedFile> {
  if (path === undefined) {
    const image = loadMrImage()
    const written = await writeDemoFile(image, folder)
    return {
      path: written,
      name: image.fileName,
      EHR_name: 'MRI',
      source: image.source,
      ...(await fingerprint(written, signal)),
    }
  }
  // Refuses what is no file, and says so by name.
  await (await openRegularFile(path)).close()
  const name = plainName(path)
  const source = `Your file ${resolve(path)}, which is only read.`
  return {
    path: resolve(path),
    name,
    EHR_name: basename(name, extname(name)),
    source,
    ...(await fingerprint(path, signal)),
  }
}

/** Writes a file of the demonstration into a folder. @returns its path */
export async function writeDemoFile({ fileName, bytes }: DemoFile, folder: string): Promise<string> {
  const path = join(folder, fileName)
  await writeFile(path, bytes, { flag: 'wx', mode: 0o600 })
  return path
}

/** A name that every node, shell and file system takes as it is. */
const plainName = (path: string): string => {
  const name = basename(path).replace(/[^\p{L}\p{N}._-]/gu, '_')
  return name.replace(/^[.-]+/, '_').slice(-100)
}

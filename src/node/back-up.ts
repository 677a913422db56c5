import { constants } from 'node:fs'
import { copyFile, mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { CID } from 'multiformats/cid'
import { loadNetwork } from '../config/load-config.js'
import { EmrError, isEmrError } from '../errors.js'
import { failpoint } from '../failpoint.js'
import { createEmbeddedFileStore } from '../files/embedded/create-embedded-file-store.js'
import { copyChain, copyState } from '../ledger/copy-ledger.js'
import { isThere, readFormatVersion } from '../ledger/data-folder.js'
import { toDiskError } from '../ledger/disk-error.js'
import { syncFile, syncFolder, writeFileDurably } from '../ledger/durable-file.js'
import { dataFolderPaths } from '../ledger/layout.js'
import { decodeHeader } from '../protocol/header.js'
import { type Static, Type, Value } from '../typebox.js'

/** Version of the form of a backup: a data folder without index/, and this manifest, written last. */
const BACKUP_VERSION = 1

/** What a backup says of itself, in `backup.json`; `time` is when the state was copied, `files` are those of the embedded store. */
const BackupManifest = Type.Object({
  backup: Type.Literal(BACKUP_VERSION),
  time: Type.String(),
  tip: Type.Object({ id: Type.String(), height: Type.Integer() }),
  chainBytes: Type.Integer(),
  pending: Type.Integer(),
  files: Type.Array(Type.String({ pattern: '^[A-Za-z0-9]+$' })),
})
export type BackupManifest = Static<typeof BackupManifest>

export interface BackUpOptions {
  /** `paper`, or a network file. */
  readonly network: string
  /** Bytes of the chain file that were copied. */
  readonly onProgress?: (bytes: number) => void
  readonly signal?: AbortSignal | undefined
}

export interface BackedUp extends BackupManifest {
  /** Files that are damaged in the data folder, and so not in the backup. */
  readonly damagedFiles: readonly string[]
}

export const manifestPath = (folder: string): string => join(folder, 'backup.json')

/** Refuses a folder that holds something. @throws EmrError `folder_not_empty` */
export async function assertEmptyFolder(folder: string): Promise<void> {
  try {
    if ((await readdir(folder)).length === 0) return
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOTDIR'))
      throw toDiskError(error, 'looking into the folder')
  }
  throw new EmrError('folder_not_empty', folder)
}

/**
 * Makes a folder that appears whole under its name, or not at all: it is filled under another name beside
 * it and renamed. What a killed run left under that name is removed first.
 */
export async function makeWhole<T>(folder: string, suffix: string, fill: (partial: string) => Promise<T>): Promise<T> {
  await assertEmptyFolder(folder)
  const partial = `${folder}${suffix}`
  try {
    await rm(partial, { recursive: true, force: true })
    await mkdir(dirname(folder), { recursive: true })
    await mkdir(partial, { mode: 0o700 })
    const filled = await fill(partial)
    await syncFolder(partial)
    // Takes the place of an empty folder; one that was filled meanwhile makes it fail.
    await rename(partial, folder)
    await syncFolder(dirname(folder))
    return filled
  } catch (error) {
    await rm(partial, { recursive: true, force: true })
    throw toDiskError(error, 'making the folder')
  }
}

/** Copies a file durably; it must not be there yet. */
export async function copyDurably(from: string, to: string): Promise<void> {
  await copyFile(from, to, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE)
  await syncFile(to)
}

/** Reads files of an embedded store to their ends. @returns those of which a block does not match its CID */
export async function damagedFilesOf(
  folder: string,
  files: readonly string[],
  signal?: AbortSignal,
): Promise<string[]> {
  const store = await createEmbeddedFileStore({ folder })
  const damaged: string[] = []
  try {
    for (const name of files) {
      if (signal?.aborted) throw new EmrError('cancelled')
      try {
        for await (const _ of store.read(CID.parse(name), { signal }));
      } catch (error) {
        if (
          !['file_damaged', 'file_unavailable', 'not_a_file'].some((code) => isEmrError(error, code as 'file_damaged'))
        )
          throw error
        damaged.push(name)
      }
    }
  } finally {
    await store.close()
  }
  return damaged
}

/**
 * Copies a data folder while its node runs, or stands still, into `to`, which must be empty or not there. First
 * the state as of one commit, then the chain up to what counted in it, every section checked, then
 * the files, every block checked: so all that was acknowledged before the call is in the backup. It holds the
 * node's key, and is readable by its owner alone.
 *
 * @throws EmrError `path_not_found`, `folder_not_empty`, `data_folder_version`, `data_folder_other_network`,
 * `chain_damaged`, `index_damaged`, `cancelled`, `disk_full`, `disk_failed`; nothing is left then
 */
export async function backUp(data: string, to: string, options: BackUpOptions): Promise<BackedUp> {
  const { network, onProgress, signal } = options
  const from = dataFolderPaths(data)
  const root = loadNetwork(network).cid
  if (!(await isThere(from.chain))) throw new EmrError('path_not_found', `There is no chain file in ${data}.`)
  const owner = await readFormatVersion(from)
  return makeWhole(to, '.unfinished', async (partial) => {
    failpoint('backup.begin')
    const copy = dataFolderPaths(partial)
    const time = new Date().toISOString()
    let pending = 0
    const { length, tip } = await copyState(from, copy, owner, (state) => {
      for (const _ of state.pending()) pending++
    })
    failpoint('backup.state')
    let height = 0
    await copyChain(from.chain, copy.chain, {
      root,
      length,
      signal,
      onSection({ cid, bytes }, end) {
        if (cid.equals(tip)) height = decodeHeader(bytes).height
        onProgress?.(end)
      },
    })
    failpoint('backup.chain')
    await copyDurably(from.nodeKey, copy.nodeKey)
    const { files, damagedFiles } = await copyFiles(from.files, copy.files, signal)
    failpoint('backup.files')
    const manifest: BackupManifest = {
      backup: BACKUP_VERSION,
      time,
      tip: { id: tip.toString(), height },
      chainBytes: length,
      pending,
      files,
    }
    await writeFileDurably(manifestPath(partial), `${JSON.stringify(manifest, undefined, 2)}\n`)
    failpoint('backup.manifest')
    return { ...manifest, damagedFiles }
  }).then((done) => {
    failpoint('backup.renamed')
    return done
  })
}

/** Copies the files of an embedded store, but for damaged ones. Files never change once they have their name. */
async function copyFiles(from: string, to: string, signal?: AbortSignal) {
  await mkdir(to, { mode: 0o700 })
  const names = (await isThere(from)) ? await readdir(from) : []
  const all = names.filter((name) => name.endsWith('.car')).map((name) => name.slice(0, -'.car'.length))
  for (const name of all) {
    if (signal?.aborted) throw new EmrError('cancelled')
    await copyDurably(join(from, `${name}.car`), join(to, `${name}.car`))
  }
  const damagedFiles = await damagedFilesOf(to, all, signal)
  for (const name of damagedFiles) await rm(join(to, `${name}.car`))
  await syncFolder(to)
  return { files: all.filter((name) => !damagedFiles.includes(name)).sort(), damagedFiles }
}

/** The manifest of a backup. @throws EmrError `backup_malformed`, `data_folder_version` */
export async function readManifest(folder: string): Promise<BackupManifest> {
  let manifest: unknown
  try {
    if (!(await stat(folder)).isDirectory()) throw new Error('not a folder')
    manifest = JSON.parse(await readFile(manifestPath(folder), 'utf8'))
  } catch (cause) {
    throw new EmrError('backup_malformed', 'Its backup.json is missing or not readable.', {}, { cause })
  }
  if (typeof manifest !== 'object' || manifest === null || !('backup' in manifest))
    throw new EmrError('backup_malformed', 'Its backup.json is of another form.')
  if (manifest.backup !== BACKUP_VERSION) {
    const found = typeof manifest.backup === 'number' ? manifest.backup : null
    throw new EmrError('data_folder_version', `The backup is of version ${found ?? 'unknown'}.`, { found, known: 1 })
  }
  if (!Value.Check(BackupManifest, manifest))
    throw new EmrError('backup_malformed', 'Its backup.json is of another form.')
  return manifest
}

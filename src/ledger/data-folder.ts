import { randomUUID } from 'node:crypto'
import { mkdir, readFile, stat } from 'node:fs/promises'
import { EmrError } from '../errors.js'
import { errno, toDiskError } from './disk-error.js'
import { writeFileDurably } from './durable-file.js'
import { type DataFolder, FORMAT_VERSION } from './layout.js'

/** Whether there is something at this path. */
export const isThere = async (path: string): Promise<boolean> => {
  try {
    await stat(path)
    return true
  } catch (error) {
    if (errno(error) === 'ENOENT') return false
    throw toDiskError(error, 'looking into the data folder')
  }
}

/** Makes the folder if it is missing, readable by its owner alone. */
export const makeDataFolder = async (paths: DataFolder): Promise<void> => {
  try {
    await mkdir(paths.folder, { recursive: true, mode: 0o700 })
  } catch (error) {
    throw toDiskError(error, 'making the data folder')
  }
}

const parseVersion = (text: string): { format: unknown; id: unknown } => {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && 'format' in value && 'id' in value) return value
  } catch {
    // Falls through: text that is no JSON is as unreadable as JSON of another form.
  }
  return { format: undefined, id: undefined }
}

/**
 * The version gate. Writes version.json in a folder that holds no chain yet, reads it in any other.
 * To be called with the folder locked.
 * @returns the id of this data folder, which both databases carry
 * @throws data_folder_version if the version is missing, unreadable or not FORMAT_VERSION
 */
export const checkFormatVersion = async (paths: DataFolder): Promise<string> => {
  if (!(await isThere(paths.version))) {
    // version.json is written before anything else, so it is never missing because of a crash.
    if ((await isThere(paths.chain)) || (await isThere(paths.state)))
      throw new EmrError('data_folder_version', 'version.json is missing.')
    const id = randomUUID()
    try {
      await writeFileDurably(paths.version, `${JSON.stringify({ format: FORMAT_VERSION, id })}\n`)
    } catch (error) {
      throw toDiskError(error, 'writing version.json')
    }
    return id
  }
  return readFormatVersion(paths)
}

/**
 * Reads version.json.
 * @returns the id of this data folder
 * @throws data_folder_version
 */
export const readFormatVersion = async (paths: DataFolder): Promise<string> => {
  let text: string
  try {
    text = await readFile(paths.version, 'utf8')
  } catch (error) {
    throw toDiskError(error, 'reading version.json')
  }
  const { format, id } = parseVersion(text)
  if (format !== FORMAT_VERSION || typeof id !== 'string') {
    const found = typeof format === 'number' ? format : null
    throw new EmrError('data_folder_version', undefined, { found, known: FORMAT_VERSION })
  }
  return id
}

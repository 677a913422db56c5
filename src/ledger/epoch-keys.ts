/**
 * The keys under which shares lie on the disk, one file for each epoch. A file system and a disk may keep former
 * contents of a file; so a key is written over before its name goes, and docs/operations.md says what that is worth.
 */
import { createHash, randomBytes } from 'node:crypto'
import { open, readdir, readFile, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { EmrError } from '../errors.js'
import { failpoint } from '../failpoint.js'
import { errno, toDiskError } from './disk-error.js'
import { syncFolder, writeFileDurably } from './durable-file.js'
import { epochKeyName } from './layout.js'

const KEY_LENGTH = 32
const CHECK_LENGTH = 8

export interface EpochKeys {
  /** The key of an epoch, 32 bytes. @throws index_damaged where its file is missing or altered */
  read(epoch: number): Promise<Uint8Array>
  /** A new random key for an epoch, durable when it resolves. */
  make(epoch: number): Promise<Uint8Array>
  /** Whether there are files of other epochs than this one. */
  hasOthers(epoch: number): Promise<boolean>
  /** Destroys every key but that of this epoch, also what a crash left of one. Durable when it resolves. */
  destroyOthers(epoch: number): Promise<void>
}

const checkOf = (key: Uint8Array): Buffer => createHash('sha256').update(key).digest().subarray(0, CHECK_LENGTH)

export const createEpochKeys = (folder: string): EpochKeys => {
  const others = async (epoch: number): Promise<string[]> => {
    const names = await readdir(folder)
    return names.filter((name) => name.startsWith('epoch-') && name !== epochKeyName(epoch))
  }
  const naming = async <T>(doing: string, work: () => Promise<T>): Promise<T> => {
    try {
      return await work()
    } catch (error) {
      throw toDiskError(error, doing)
    }
  }

  return {
    async read(epoch) {
      let bytes: Buffer
      try {
        bytes = await readFile(join(folder, epochKeyName(epoch)))
      } catch (error) {
        if (errno(error) !== 'ENOENT') throw toDiskError(error, 'reading an epoch key')
        throw new EmrError('index_damaged', `${epochKeyName(epoch)} is missing.`, { database: 'shares' })
      }
      const key = Uint8Array.from(bytes.subarray(0, KEY_LENGTH))
      if (bytes.length !== KEY_LENGTH + CHECK_LENGTH || !checkOf(key).equals(bytes.subarray(KEY_LENGTH)))
        throw new EmrError('index_damaged', `${epochKeyName(epoch)} was altered.`, { database: 'shares' })
      return key
    },

    make: (epoch) =>
      naming('writing an epoch key', async () => {
        const key = Uint8Array.from(randomBytes(KEY_LENGTH))
        await writeFileDurably(join(folder, epochKeyName(epoch)), Buffer.concat([key, checkOf(key)]))
        return key
      }),

    hasOthers: (epoch) => naming('looking for epoch keys', async () => (await others(epoch)).length > 0),

    destroyOthers: (epoch) =>
      naming('destroying an epoch key', async () => {
        for (const name of await others(epoch)) {
          const path = join(folder, name)
          failpoint('shares.key.begin')
          const handle = await open(path, 'r+')
          try {
            const { size } = await handle.stat()
            await handle.write(randomBytes(size), 0, size, 0)
            await handle.sync()
          } finally {
            await handle.close()
          }
          failpoint('shares.key.overwritten')
          await unlink(path)
          failpoint('shares.key.removed')
        }
        await syncFolder(folder)
      }),
  }
}

/**
 * One process for each data folder, by means that the kernel itself releases when the process ends in
 * whatever way: no process ids, no ages, no stale files.
 *
 * - Linux: an abstract socket named after device and inode of the folder, which excludes every other
 *   process of this network namespace without a race. A second socket inside the folder excludes
 *   processes of other containers that share the volume. Its file outlives a kill, so one that
 *   refuses connections is taken over; that is safe because the abstract socket is held meanwhile.
 * - macOS and the BSDs: a file opened with O_EXLOCK.
 * - Windows: a named pipe.
 */
import { createHash } from 'node:crypto'
import { constants, type FileHandle, open, stat, unlink } from 'node:fs/promises'
import { connect, createServer, type Server } from 'node:net'
import { EmrError } from '../errors.js'
import { errno, toDiskError } from './disk-error.js'
import type { DataFolder } from './layout.js'

export interface DataLock {
  /** Gives the folder free for the next process. */
  release(): Promise<void>
}

const inUse = (): EmrError => new EmrError('data_folder_in_use')

const listen = (path: string): Promise<Server> =>
  new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy())
    server.once('error', reject)
    server.listen({ path, exclusive: true }, () => {
      server.off('error', reject)
      // The lock must not keep a process alive that has nothing else to do.
      server.unref()
      resolve(server)
    })
  })

const close = (server: Server): Promise<void> => new Promise((resolve) => server.close(() => resolve()))

/** Whether a process listens at the socket; only a refusal or no file at all means no. */
const answers = (path: string): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', (error) => resolve(!['ECONNREFUSED', 'ENOENT'].includes(errno(error) ?? '')))
  })

const listenOrInUse = async (path: string): Promise<Server> => {
  try {
    return await listen(path)
  } catch (error) {
    throw errno(error) === 'EADDRINUSE' ? inUse() : toDiskError(error, 'locking the data folder')
  }
}

/** Errors of file systems that have no sockets, such as some network and desktop shares. */
const noSockets = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'])

const lockInFolder = async (path: string): Promise<Server | undefined> => {
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      return await listen(path)
    } catch (error) {
      const code = errno(error) ?? ''
      if (noSockets.has(code)) return undefined
      if (code !== 'EADDRINUSE') throw toDiskError(error, 'locking the data folder')
    }
    if (await answers(path)) throw inUse()
    await unlink(path).catch((error: unknown) => {
      if (errno(error) !== 'ENOENT') throw toDiskError(error, 'locking the data folder')
    })
  }
  throw inUse()
}

const folderName = async (folder: string): Promise<string> => {
  // Device and inode, not the path: a folder reached by two paths is one folder.
  const { dev, ino } = await stat(folder, { bigint: true })
  return `emrchain-${createHash('sha256').update(`${dev}:${ino}`).digest('hex').slice(0, 40)}`
}

const lockOnLinux = async (paths: DataFolder): Promise<DataLock> => {
  const outer = await listenOrInUse(`\0${await folderName(paths.folder)}`)
  let folder: FileHandle | undefined
  try {
    // A socket path may have 107 bytes; through the open folder it is short wherever the folder lies.
    folder = await open(paths.folder, constants.O_RDONLY | constants.O_DIRECTORY)
    const inner = await lockInFolder(`/proc/self/fd/${folder.fd}/lock`)
    const held = folder
    return {
      async release() {
        if (inner) await close(inner)
        await held.close()
        await close(outer)
      },
    }
  } catch (error) {
    await folder?.close()
    await close(outer)
    throw error
  }
}

/** open(2) of the BSD family; Node passes the bits on but does not name them. */
const O_EXLOCK = 0x20
const O_NONBLOCK = 0x4

const lockOnBsd = async (paths: DataFolder): Promise<DataLock> => {
  try {
    const file = await open(paths.lock, constants.O_RDWR | constants.O_CREAT | O_EXLOCK | O_NONBLOCK, 0o600)
    return { release: () => file.close() }
  } catch (error) {
    throw ['EAGAIN', 'EWOULDBLOCK'].includes(errno(error) ?? '')
      ? inUse()
      : toDiskError(error, 'locking the data folder')
  }
}

const lockOnWindows = async (paths: DataFolder): Promise<DataLock> => {
  const pipe = await listenOrInUse(`\\\\.\\pipe\\${await folderName(paths.folder)}`)
  return { release: () => close(pipe) }
}

/**
 * Takes the data folder for this process. The folder must exist.
 * @throws data_folder_in_use if a living process (or another part of this one) holds it
 */
export const lockDataFolder = (paths: DataFolder): Promise<DataLock> => {
  if (process.platform === 'linux') return lockOnLinux(paths)
  if (process.platform === 'win32') return lockOnWindows(paths)
  return lockOnBsd(paths)
}

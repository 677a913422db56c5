import type { CarFile } from './car-file.js'

/** A CAR in use; it stays open until `release`. */
export interface Lease {
  readonly car: CarFile
  /** Whether no other CAR was put in its place since. */
  isCurrent(): boolean
  release(): Promise<void>
}

/** The CARs that are open: those in use, and the last few used, so that reading again need not scan again. */
export interface OpenCars {
  /** The CAR of this name; `open` is called if it is not open. Its errors come out unchanged. */
  lease(name: string, open: () => Promise<CarFile>): Promise<Lease>
  /** Forgets the CAR because another was put in its place; who uses the old one keeps it. */
  drop(name: string): Promise<void>
  /** Closes those not in use at once and the others when they are released. */
  close(): Promise<void>
}

interface Entry {
  readonly name: string
  readonly opening: Promise<CarFile>
  users: number
  dropped: boolean
}

/** @param idle how many CARs that nobody uses stay open */
export function createOpenCars(idle: number): OpenCars {
  // Least recently used first.
  const entries = new Map<string, Entry>()

  async function drop(entry: Entry): Promise<void> {
    if (entry.dropped) return
    entry.dropped = true
    if (entries.get(entry.name) === entry) entries.delete(entry.name)
    if (entry.users === 0) await closeCar(entry)
  }

  async function dropIdle(): Promise<void> {
    const unused = [...entries.values()].filter((entry) => entry.users === 0)
    await Promise.all(unused.slice(0, Math.max(0, unused.length - idle)).map(drop))
  }

  return {
    async lease(name, open) {
      const entry = entries.get(name) ?? { name, opening: open(), users: 0, dropped: false }
      entry.users++
      entries.delete(name)
      entries.set(name, entry)
      let released = false
      const release = async () => {
        if (released) return
        released = true
        entry.users--
        if (entry.dropped && entry.users === 0) await closeCar(entry)
        else await dropIdle()
      }
      try {
        return { car: await entry.opening, isCurrent: () => !entry.dropped, release }
      } catch (error) {
        entry.dropped = true
        if (entries.get(name) === entry) entries.delete(name)
        throw error
      }
    },

    async drop(name) {
      const entry = entries.get(name)
      if (entry) await drop(entry)
    },

    async close() {
      await Promise.all([...entries.values()].map(drop))
    },
  }
}

/** A CAR that could not be opened has told its users so. */
const closeCar = (entry: Entry): Promise<void> =>
  entry.opening.then(
    (car) => car.close(),
    () => undefined,
  )

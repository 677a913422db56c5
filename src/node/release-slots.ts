import { EmrError } from '../errors.js'

export interface SlotLimits {
  readonly maxReleases: number
  readonly maxReleasesOfKey: number
  readonly maxReleasesOfPatient: number
}

/** A release that is under way. */
export interface ReleaseSlot {
  /**
   * Counts it for the patient whose record it is, once consent is found to allow it: who has none cannot fill what the
   * patient has. A patient's own are counted by key alone.
   *
   * @throws EmrError `custody_busy`
   */
  ofPatient(patient: Uint8Array): void
  free(): void
}

/**
 * Counts the releases that are under way. One may take as long as custodians take to agree, and keys cost nothing where
 * everybody may register. So each key and each patient has few, and once half of all are taken, one: who has none under
 * way is refused only where so many others have one. With 64 in all, 4 of a key and 8 of a patient that takes 40 keys at
 * once, and 36 patients.
 */
export function createReleaseSlots({ maxReleases, maxReleasesOfKey, maxReleasesOfPatient }: SlotLimits) {
  const counts = new Map<string, number>()
  let all = 0

  /** @param others releases that are under way besides this one @throws EmrError `custody_busy` */
  function count(name: string, most: number, others: number): void {
    const before = counts.get(name) ?? 0
    if (before >= (others >= maxReleases / 2 ? 1 : most)) throw new EmrError('custody_busy')
    counts.set(name, before + 1)
  }
  function uncount(name: string): void {
    const left = (counts.get(name) ?? 0) - 1
    if (left > 0) counts.set(name, left)
    else counts.delete(name)
  }

  return {
    /** @param key of the asker, who has signed for it @throws EmrError `custody_busy` */
    take(key: Uint8Array): ReleaseSlot {
      if (all >= maxReleases) throw new EmrError('custody_busy')
      const names = [`key ${hex(key)}`]
      count(`key ${hex(key)}`, maxReleasesOfKey, all)
      all++
      return {
        ofPatient(patient) {
          const name = `patient ${hex(patient)}`
          count(name, maxReleasesOfPatient, all - 1)
          names.push(name)
        },
        free() {
          all--
          for (const name of names) uncount(name)
        },
      }
    },
  }
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

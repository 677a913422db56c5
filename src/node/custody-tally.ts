import { type ErrorCode, isEmrError } from '../errors.js'
import type { CustodyService } from './custody-service.js'

/** What a node keeps as a custodian, and what it has done as one since it was opened. Counts only grow. */
export interface CustodyTally {
  /** Key shares that are kept. */
  readonly deposits: number
  /** Erasures of the chain of which something is left to do here. */
  readonly erasuresWaiting: number
  /** Whether it was restored from a backup, and has not heard its peers yet: nothing is given out. */
  readonly isRestoring: boolean
  readonly releases: {
    readonly given: number
    /** By the code of the refusal. */
    readonly refused: ReadonlyMap<ErrorCode, number>
  }
  /** Shares that others have acknowledged, and that were taken from others. */
  readonly handovers: { readonly given: number; readonly taken: number }
}

/** Counts what a custodian does; it changes nothing of it. */
export interface CustodyCounter {
  /** The same service; what it gives out, refuses and takes over is counted. */
  of(custody: CustodyService): CustodyService
  handedOver(): void
  read(): Pick<CustodyTally, 'releases' | 'handovers'>
}

export function createCustodyCounter(): CustodyCounter {
  const releases = { given: 0, refused: new Map<ErrorCode, number>() }
  const handovers = { given: 0, taken: 0 }
  return {
    of: (custody) => ({
      ...custody,
      async release(request, record) {
        try {
          const release = await custody.release(request, record)
          releases.given++
          return release
        } catch (error) {
          const code = isEmrError(error) ? error.code : 'internal'
          releases.refused.set(code, (releases.refused.get(code) ?? 0) + 1)
          throw error
        }
      },
      async takeOver(request) {
        const receipt = await custody.takeOver(request)
        handovers.taken++
        return receipt
      },
    }),
    handedOver() {
      handovers.given++
    },
    read: () => ({ releases: { ...releases, refused: new Map(releases.refused) }, handovers: { ...handovers } }),
  }
}

import { EmrError, isEmrError } from '../errors.js'
import type { Block } from '../protocol/block.js'
import { idKey } from '../protocol/cid.js'
import type { DownloadDependencies, DownloadLimits, WantedBlock } from './download-parts.js'

/** Blocks of one branch, fetched in pieces from the peers that have joined, added to the chain in order. */
export interface DownloadJob {
  /** How many of the job's blocks are among these. */
  commonWith(ids: ReadonlySet<string>): number
  /** Makes a peer, which has these blocks, a source. @throws EmrError what the peer is to blame for */
  join(peer: string, ids: ReadonlySet<string>): Promise<'done' | 'reorganised'>
  /** Ends the job; who has joined hears of the error, if there is one. */
  end(error?: unknown): void
}

/** A peer that has the first `upTo` blocks. */
interface Source {
  readonly peer: string
  readonly upTo: number
  readonly leaving: AbortController
  running: number
  resolve(result: 'done' | 'reorganised'): void
  reject(error: unknown): void
}

/** Blocks `from` up to, not including, `to`. */
interface Piece {
  readonly from: number
  readonly to: number
  askedAt: number
  asked: number
  arrived: boolean
}

const REQUESTS_A_SOURCE = 2
const FIRST_PIECE = 16
const MAX_PIECE = 500
/** How many pieces the chain is given before it has taken in the first, so that their signatures are checked meanwhile. */
const PIECES_AHEAD = 3

export function createDownloadJob(
  wanted: readonly WantedBlock[],
  { client, chain }: DownloadDependencies,
  limits: DownloadLimits,
  onEnd: () => void,
): DownloadJob {
  const sources = new Map<string, Source>()
  const underWay = new Set<Piece>()
  /** Pieces that somebody failed to give, or gave a part of. */
  const again: Piece[] = []
  const arrived = new Map<number, Block[]>()
  let next = 0
  /** Blocks before this one were given to the chain; `adding` of its calls are not done. */
  let given = 0
  let adding = 0
  let blockBytes = 0
  let ended = false

  const timer = setInterval(() => assign(), Math.max(50, limits.stallTimeout / 2))
  timer.unref()

  const sourceLeft = (source: Source): boolean => sources.get(source.peer) !== source

  function leave(source: Source, settle: () => void): void {
    if (sourceLeft(source)) return
    sources.delete(source.peer)
    source.leaving.abort()
    settle()
    if (sources.size === 0 && adding === 0 && !arrived.has(given)) end()
    else assign()
  }

  function end(error?: unknown): void {
    if (ended) return
    ended = true
    clearInterval(timer)
    arrived.clear()
    for (const source of [...sources.values()]) {
      sources.delete(source.peer)
      source.leaving.abort()
      if (error === undefined) source.resolve('done')
      else source.reject(error)
    }
    onEnd()
  }

  const pieceLength = (): number => {
    if (blockBytes === 0) return FIRST_PIECE
    return Math.max(1, Math.min(MAX_PIECE, Math.round(limits.pieceBytes / blockBytes)))
  }
  const hasRoom = (): boolean => {
    const most = blockBytes === 0 ? 2 : Math.floor(limits.windowBytes / (blockBytes * pieceLength()))
    return underWay.size + arrived.size + adding < Math.max(2, Math.min(limits.windowPieces, most))
  }

  /** What a peer is to be asked for next. */
  function pieceFor(source: Source): Piece | undefined {
    const back = again.findIndex(({ to }) => to <= source.upTo)
    if (back >= 0) return again.splice(back, 1)[0]
    if (next < source.upTo && next < wanted.length && hasRoom()) {
      const piece = {
        from: next,
        to: Math.min(next + pieceLength(), source.upTo),
        askedAt: 0,
        asked: 0,
        arrived: false,
      }
      next = piece.to
      return piece
    }
    // The one that all others wait for, where who was asked takes long.
    const late = Date.now() - limits.stallTimeout
    for (const piece of underWay) {
      if (piece.from === given && piece.asked === 1 && piece.askedAt < late && piece.to <= source.upTo) return piece
    }
    return undefined
  }

  function assign(): void {
    for (let round = 0; round < REQUESTS_A_SOURCE; round++) {
      for (const source of sources.values()) {
        if (ended || source.running > round) continue
        const piece = pieceFor(source)
        if (piece) void fetch(source, piece)
      }
    }
  }

  async function fetch(source: Source, piece: Piece): Promise<void> {
    source.running++
    piece.asked++
    piece.askedAt ||= Date.now()
    underWay.add(piece)
    let failure: { error: unknown } | undefined
    try {
      take(piece, await ask(source, piece))
    } catch (error) {
      failure = { error }
    }
    source.running--
    piece.asked--
    if (!piece.arrived && piece.asked === 0 && underWay.delete(piece)) {
      again.push({ ...piece, askedAt: 0 })
      again.sort((a, b) => a.from - b.from)
    }
    if (failure && !ended) await blame(source, piece, failure.error)
    if (!ended) assign()
  }

  async function ask(source: Source, { from, to }: Piece): Promise<Block[]> {
    const [first, last] = [wanted[from], wanted[to - 1]]
    if (!first || !last) throw new EmrError('internal', 'A piece without blocks was asked for.')
    const signal = AbortSignal.any([source.leaving.signal, AbortSignal.timeout(limits.pieceTimeout)])
    const blocks = await client.blocksFrom(source.peer, first.height, last.height, signal)
    const isOther = blocks.some(({ header }, at) => from + at >= to || !wanted[from + at]?.id.equals(header.id))
    if (blocks.length === 0 || isOther) throw new OtherBlocks()
    return blocks
  }

  function take(piece: Piece, blocks: Block[]): void {
    if (ended || piece.arrived) return
    piece.arrived = true
    underWay.delete(piece)
    const end = piece.from + blocks.length
    if (end < piece.to) again.unshift({ from: end, to: piece.to, askedAt: 0, asked: 0, arrived: false })
    const bytes = blocks.reduce((sum, { transactions }) => transactions.reduce((n, tx) => n + tx.bytes.length, sum), 0)
    blockBytes = 512 + bytes / blocks.length
    arrived.set(piece.from, blocks)
    add()
  }

  /** Gives the chain what is next, as far as it has arrived. */
  function add(): void {
    for (let blocks = arrived.get(given); blocks && adding < PIECES_AHEAD && !ended; blocks = arrived.get(given)) {
      const from = given
      arrived.delete(from)
      given += blocks.length
      adding++
      chain.addBlocks(blocks).then(
        (outcome) => {
          adding--
          if (outcome === 'header') return end()
          for (const source of [...sources.values()]) {
            if (given >= source.upTo && adding === 0) leave(source, () => source.resolve('done'))
          }
          if (adding === 0 && (given >= wanted.length || (sources.size === 0 && !arrived.has(given)))) return end()
          add()
          assign()
        },
        (error: unknown) => {
          // Whose branch ends before the block that does not hold is not to blame for it.
          for (const source of [...sources.values()]) if (source.upTo <= from) source.resolve('done')
          end(error)
        },
      )
    }
  }

  /** Lets a source go that did not give a piece. Who has changed to another branch since is not to blame. */
  async function blame(source: Source, { from }: Piece, error: unknown): Promise<void> {
    if (sourceLeft(source)) return
    const isOther = error instanceof OtherBlocks
    if (!isOther && !(isEmrError(error) && error.facts.refusal === 'block_unknown')) {
      return leave(source, () => source.reject(error))
    }
    try {
      if (await hasLeftBranch(source, from)) return leave(source, () => source.resolve('reorganised'))
      const lie = isOther ? new EmrError('peer_misbehaved', 'It does not have the blocks of its headers.') : error
      leave(source, () => source.reject(lie))
    } catch (failure) {
      leave(source, () => source.reject(failure))
    }
  }

  /** Whether a peer's main chain, as its headers show it now, no longer has a block that it was named for. */
  async function hasLeftBranch({ peer, upTo }: Source, from: number): Promise<boolean> {
    const id = wanted[Math.min(upTo, wanted.length) - 1]?.id ?? wanted[from]?.id
    if (!id) return false
    const [after] = await client.headersAfter(peer, [id])
    return after !== undefined && !after.header.parent.equals(id)
  }

  return {
    commonWith(ids) {
      return wanted.reduce((common, { id }) => common + (ids.has(idKey(id)) ? 1 : 0), 0)
    },
    join(peer, ids) {
      let upTo = 0
      for (const [at, { id }] of wanted.entries()) if (ids.has(idKey(id))) upTo = at + 1
      return new Promise((resolve, reject) => {
        const former = sources.get(peer)
        if (former) leave(former, () => former.resolve('done'))
        if (ended) return resolve('done')
        sources.set(peer, { peer, upTo, leaving: new AbortController(), running: 0, resolve, reject })
        assign()
      })
    },
    end,
  }
}

/** A peer answered with blocks of another branch than it was asked for, or with none. */
class OtherBlocks extends Error {}

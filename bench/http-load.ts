import { connect } from 'node:net'

/** Requests as they go over the wire, made before the clock starts. */
export interface Load {
  readonly url: string
  readonly requests: readonly Buffer[]
  /** How many connections ask at a time; each sends its next request when it has the answer to the last. */
  readonly connections: number
  /** What every answer has to be. */
  readonly status: number
}

export interface LoadResult {
  readonly perSecond: number
  /** From the first byte of a request to the last of its answer, in ms, in rising order. */
  readonly times: Float64Array
}

const END_OF_HEAD = Buffer.from('\r\n\r\n')
const LENGTH = /\r\ncontent-length: *(\d+)/i
const LAST_OF_ITS_CONNECTION = /^HTTP\/1\.0|\r\nconnection: *close/i

/**
 * Sends every request once, over plain sockets: a client of a library takes as much of the processor as the node that
 * it is to measure. Where the server closes a connection after an answer, the next request has to open one again,
 * and its time counts.
 *
 * @throws Error at an answer of another status, or without a length
 */
export async function putUnderLoad({ url, requests, connections, status }: Load): Promise<LoadResult> {
  const times = new Float64Array(requests.length)
  let next = 0
  const take = (): number | undefined => (next < requests.length ? next++ : undefined)
  const began = performance.now()
  await Promise.all(
    Array.from({ length: Math.min(connections, requests.length) }, async () => {
      let exchange: ((request: Buffer) => Promise<Answer>) | undefined
      for (let at = take(); at !== undefined; at = take()) {
        const sent = performance.now()
        exchange ??= connectTo(url)
        const { head, isLast } = await exchange(requests[at] ?? Buffer.alloc(0))
        times[at] = performance.now() - sent
        if (head.slice(9, 12) !== String(status)) throw new Error(`The answer was: ${head}`)
        if (isLast) exchange = undefined
      }
      await exchange?.(END)
    }),
  )
  const seconds = (performance.now() - began) / 1_000
  return { perSecond: requests.length / seconds, times: times.sort() }
}

interface Answer {
  readonly head: string
  /** Whether the connection ends with it. */
  readonly isLast: boolean
}

/** Sent in the place of a request: closes the connection. */
const END = Buffer.alloc(0)

/** Opens a connection. What it gives sends one request, after the answer to the one before, and resolves with its answer. */
function connectTo(url: string): (request: Buffer) => Promise<Answer> {
  const { hostname, port } = new URL(url)
  const socket = connect({ host: hostname, port: Number(port), noDelay: true })
  let held: Buffer = END
  let resolve: (answer: Answer) => void = () => undefined
  let reject: (error: Error) => void = () => undefined

  socket.on('error', (error) => reject(error))
  socket.on('end', () => reject(new Error('The server has closed the connection.')))
  socket.on('data', (part: Buffer) => {
    held = held.length === 0 ? part : Buffer.concat([held, part])
    const end = held.indexOf(END_OF_HEAD)
    if (end < 0) return
    const head = held.toString('latin1', 0, end)
    const length = LENGTH.exec(head)?.[1]
    if (length === undefined) reject(new Error(`An answer without a length: ${head}`))
    if (held.length < end + END_OF_HEAD.length + Number(length)) return
    held = END
    const isLast = LAST_OF_ITS_CONNECTION.test(head)
    if (isLast) socket.destroy()
    resolve({ head, isLast })
  })
  return (request) =>
    new Promise((answered, failed) => {
      resolve = answered
      reject = failed
      if (request !== END) {
        socket.write(request)
        return
      }
      socket.destroy()
      answered({ head: '', isLast: true })
    })
}

/** One POST with its body. @param phase names it for server-times.ts */
export function postRequest(url: string, path: string, type: string, body: Uint8Array, phase?: string): Buffer {
  const head = [
    `POST ${path} HTTP/1.1`,
    `host: ${new URL(url).host}`,
    `content-type: ${type}`,
    `content-length: ${body.length}`,
    ...(phase === undefined ? [] : [`x-phase: ${phase}`]),
  ]
  return Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), body])
}

/** One POST of JSON. */
export const postJson = (url: string, path: string, body: object, phase?: string): Buffer =>
  postRequest(url, path, 'application/json', Buffer.from(JSON.stringify(body)), phase)

/** One GET. */
export const getRequest = (url: string, path: string, phase: string): Buffer =>
  Buffer.from(`GET ${path} HTTP/1.1\r\nhost: ${new URL(url).host}\r\nx-phase: ${phase}\r\n\r\n`)

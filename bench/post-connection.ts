import { once } from 'node:events'
import { connect } from 'node:net'

/** One connection to a node, over which one request goes at a time. */
export interface PostConnection {
  /** The status of the answer, once all of it is here. */
  post(body: Uint8Array): Promise<number>
  close(): void
}

/**
 * A connection for requests that differ in their bodies alone. It speaks the little of HTTP/1.1 that they need, since
 * a whole client takes as much of the processor for a request as the node that answers it.
 */
export async function openPostConnection(url: URL, type: string): Promise<PostConnection> {
  const socket = connect({ host: url.hostname, port: Number(url.port), noDelay: true })
  await once(socket, 'connect')
  const head = `POST ${url.pathname} HTTP/1.1\r\nhost: ${url.host}\r\ncontent-type: ${type}\r\ncontent-length: `
  let received = Buffer.alloc(0)
  let waiting: { resolve(status: number): void; reject(error: unknown): void } | undefined
  const fail = (error: unknown): void => {
    waiting?.reject(error)
    waiting = undefined
  }
  socket.on('error', fail)
  socket.on('close', () => fail(new Error('The node closed the connection.')))
  socket.on('data', (piece) => {
    received = received.length > 0 ? Buffer.concat([received, piece]) : piece
    const answer = readAnswer(received)
    if (!answer) return
    received = received.subarray(answer.length)
    const { resolve } = waiting ?? {}
    waiting = undefined
    resolve?.(answer.status)
  })
  return {
    post(body) {
      return new Promise((resolve, reject) => {
        if (waiting) throw new Error('One request at a time.')
        if (socket.destroyed) throw new Error('The connection is closed.')
        waiting = { resolve, reject }
        socket.cork()
        socket.write(`${head}${body.length}\r\n\r\n`, 'latin1')
        socket.write(body)
        socket.uncork()
      })
    },
    close: () => void socket.destroy(),
  }
}

/** The answer at the beginning, if all of it is here. */
function readAnswer(bytes: Buffer): { status: number; length: number } | undefined {
  const end = bytes.indexOf('\r\n\r\n')
  if (end < 0) return undefined
  const head = bytes.toString('latin1', 0, end)
  const body = /\r\ncontent-length: (\d+)/i.exec(head)?.[1]
  if (body === undefined) throw new Error(`An answer without a length: ${head}`)
  const length = end + 4 + Number(body)
  return bytes.length < length ? undefined : { status: Number(head.slice(9, 12)), length }
}

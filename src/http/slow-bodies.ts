import type { IncomingMessage, Server } from 'node:http'

/** How long senders may take, in ms. */
export interface BodyLimits {
  /** For a whole body of JSON, CBOR or CAR: they are small, and come in one go. */
  readonly body: number
  /** An upload may be as large as a file: it is judged by what came in each span of this length. */
  readonly uploadSpan: number
}
export const DEFAULT_BODY_LIMITS: BodyLimits = { body: 10_000, uploadSpan: 30_000 }

/** What an upload must bring, in bytes for each ms: 1 KiB/s, less than any line that a file can be sent over. */
const LEAST_UPLOAD_RATE = 1.024

/**
 * Closes the connection of who sends a body too slowly, so that nobody holds connections and memory for nothing.
 * Fastify's own limit is one for all requests, uploads of any size included, and therefore off. Its hooks do not
 * see a request that was refused before them, whose body comes all the same: the server itself is listened to.
 */
export function closeSlowBodies(server: Server, limits: BodyLimits): void {
  server.on('request', (request: IncomingMessage) => {
    const { headers, socket } = request
    const hasBody = headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
    if (!hasBody || request.complete) return
    const isUpload = headers['content-type']?.startsWith('multipart/') ?? false
    let read = socket.bytesRead
    const check = (): void => {
      if (request.complete || socket.destroyed) {
        clearInterval(watch)
        return
      }
      const came = socket.bytesRead - read
      read = socket.bytesRead
      // What has come and is not taken yet waits for the node, not for the sender.
      const isWaiting = isUpload && request.readableLength > 0
      if (!isUpload || (!isWaiting && came < limits.uploadSpan * LEAST_UPLOAD_RATE)) socket.destroy()
    }
    const watch = setInterval(check, isUpload ? limits.uploadSpan : limits.body)
    watch.unref()
    // A request that is answered early closes before its body has come.
    request.once('close', () => {
      if (request.complete || socket.destroyed) clearInterval(watch)
    })
  })
}

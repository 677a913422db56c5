import type { FastifyInstance } from 'fastify'

/** How long senders may take, in ms. */
export interface BodyLimits {
  /** For a whole body of JSON, CBOR or CAR: they are small, and come in one go. */
  readonly body: number
  /** Without a byte of an upload, which may be as large as a file: one that stops is closed within twice that. */
  readonly uploadPause: number
}
export const DEFAULT_BODY_LIMITS: BodyLimits = { body: 10_000, uploadPause: 30_000 }

/**
 * Closes the connection of who sends a body too slowly, so that nobody holds connections and memory for nothing.
 * Fastify's own limit is one for all requests, uploads of any size included, and therefore off.
 */
export function closeSlowBodies(server: FastifyInstance, limits: BodyLimits): void {
  server.addHook('onRequest', async ({ headers, raw }) => {
    const hasBody = headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
    if (!hasBody || raw.complete) return
    const { socket } = raw
    const isUpload = headers['content-type']?.startsWith('multipart/') ?? false
    let read = socket.bytesRead
    const watch = setInterval(
      () => {
        if (raw.complete) return clearInterval(watch)
        if (!isUpload || socket.bytesRead === read) socket.destroy()
        read = socket.bytesRead
      },
      isUpload ? limits.uploadPause : limits.body,
    )
    watch.unref()
    raw.once('close', () => clearInterval(watch))
  })
}

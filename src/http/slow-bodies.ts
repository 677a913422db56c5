import type { FastifyInstance } from 'fastify'

/** How long senders may take, in ms. */
export interface BodyLimits {
  /** For a whole body of JSON, CBOR or CAR: they are small, and come in one go. */
  readonly body: number
  /** Between two pieces of an upload, which may be as large as a file. */
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
    if (headers['content-type']?.startsWith('multipart/')) {
      // A socket whose timeout nobody handles is closed by the server.
      socket.setTimeout(limits.uploadPause)
      raw.once('close', () => socket.setTimeout(0))
      return
    }
    const patience = setTimeout(() => {
      if (!raw.complete) socket.destroy()
    }, limits.body)
    raw.once('close', () => clearTimeout(patience))
  })
}

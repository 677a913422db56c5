import type { FastifyInstance } from 'fastify'
import { routeOf } from './route.js'

/** The levels at which such lines are written; at others nothing is made of them. */
const LEVELS: ReadonlySet<string> = new Set(['debug', 'trace'])

/**
 * One line for each request at level debug: which route, which status, how long. The address itself is not
 * written, since it may hold what somebody asked for.
 */
export function logRequests(server: FastifyInstance): void {
  if (!LEVELS.has(server.log.level)) return
  server.addHook('onResponse', async (request, reply) => {
    const ms = Math.round(reply.elapsedTime * 10) / 10
    request.log.debug({ ...routeOf(request), status: reply.statusCode, ms }, 'request answered')
  })
}

import type { FastifyInstance, FastifyRequest } from 'fastify'
import { EmrError } from '../errors.js'

/** Who may call a route: anyone, or the operator, since it uses the node's key, disk or settings. */
export type Access = 'public' | 'operator'

declare module 'fastify' {
  interface FastifyContextConfig {
    access?: Access
  }
}

/**
 * Guards every request: it must name this server in Host (a foreign name that resolves here is how a web
 * page reaches into a local server) and must not come from another web page. The node listens on loopback
 * only, so who passes is on this machine, and operator routes need no more.
 *
 * @param hosts the `host:port` values that name this server; read for each request, since the port is
 * known only once it listens
 */
export function guardRequests(server: FastifyInstance, hosts: () => ReadonlySet<string>): void {
  server.addHook('onRequest', async (request) => {
    if (!hosts().has(request.headers.host?.toLowerCase() ?? '')) throw new EmrError('foreign_host')
    if (!isOwnPage(request, hosts())) throw new EmrError('foreign_origin')
  })
}

/** From here on a route that does not declare its access is refused when the server is built. */
export function requireDeclaredAccess(server: FastifyInstance): void {
  server.addHook('onRoute', (route) => {
    if (route.config?.access === undefined) {
      throw new Error(`Route ${String(route.method)} ${route.url} does not declare its access.`)
    }
  })
}

function isOwnPage(request: FastifyRequest, hosts: ReadonlySet<string>): boolean {
  const { origin } = request.headers
  const site = request.headers['sec-fetch-site']
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return false
  if (origin === undefined) return true
  try {
    return hosts.has(new URL(origin).host)
  } catch {
    return false
  }
}

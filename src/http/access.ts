import { createHash, timingSafeEqual } from 'node:crypto'
import { BlockList, isIPv6 } from 'node:net'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { EmrError } from '../errors.js'

/**
 * Who may call a route: anyone; the operator, since it uses the node's key, disk or settings; or, where a network has
 * administrators, who is certified, since it gives out chain or files.
 */
export type Access = 'public' | 'reader' | 'operator'

declare module 'fastify' {
  interface FastifyContextConfig {
    access?: Access
  }
}

/** What a request is measured by. Names are read for each request, since the port is known only once it listens. */
export interface AccessRules {
  /** The `host:port` values that name this server in Host. */
  hosts(): ReadonlySet<string>
  /** The origins of this server's own pages. */
  origins(): ReadonlySet<string>
  /** What an operator shows who is not on this machine. */
  readonly token: string
  /** Behind a proxy every request comes from loopback, which then proves nothing. */
  readonly behindProxy: boolean
}

/**
 * Guards every request: it must name this server in Host (a foreign name that resolves here is how a web
 * page reaches into a local server, 421) and must not come from another web page (403). Operator routes need
 * no more from this machine; from elsewhere always the token (401).
 */
export function guardRequests(server: FastifyInstance, rules: AccessRules): void {
  const { hasToken, isNear } = createOperatorCheck(rules)
  server.addHook('onRequest', async (request) => {
    if (!rules.hosts().has(request.headers.host?.toLowerCase() ?? '')) throw new EmrError('foreign_host')
    if (!isOwnPage(request, rules.origins())) throw new EmrError('foreign_origin')
    if (request.routeOptions.config?.access !== 'operator') return
    if (!isNear(request) && !hasToken(request)) throw new EmrError('token_required')
  })
}

/** Two ways in which a request shows that it is the operator's. */
export function createOperatorCheck({ token, behindProxy }: Pick<AccessRules, 'token' | 'behindProxy'>) {
  const expected = digestOf(token)
  return {
    /** It comes from this machine, which says nothing behind a proxy. */
    isNear: ({ socket }: FastifyRequest): boolean => !behindProxy && isLoopback(socket.remoteAddress),
    hasToken({ headers }: FastifyRequest): boolean {
      const [, shown] = /^Bearer +(\S+)$/i.exec(headers.authorization ?? '') ?? []
      return shown !== undefined && timingSafeEqual(digestOf(shown), expected)
    },
  }
}

/** Digests are of one length, so that comparing them tells nothing of the token. */
const digestOf = (token: string): Buffer => createHash('sha256').update(token).digest()

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8, 'ipv4')
loopback.addAddress('::1', 'ipv6')

/** The answer for the address that was asked for last: each request asks more than once, and most come from one place. */
let last = { address: '', isNear: false }

/** Whether the other end of a connection is on this machine. What headers say of it does not count. */
export function isLoopback(address: string | undefined): boolean {
  if (address === undefined) return false
  if (address !== last.address) {
    last = { address, isNear: loopback.check(address, isIPv6(address) ? 'ipv6' : 'ipv4') }
  }
  return last.isNear
}

/** From here on a route that does not declare its access is refused when the server is built. */
export function requireDeclaredAccess(server: FastifyInstance): void {
  server.addHook('onRoute', (route) => {
    if (route.config?.access === undefined) {
      throw new Error(`Route ${String(route.method)} ${route.url} does not declare its access.`)
    }
  })
}

function isOwnPage(request: FastifyRequest, origins: ReadonlySet<string>): boolean {
  const { origin } = request.headers
  const site = request.headers['sec-fetch-site']
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return false
  return origin === undefined || origins.has(origin.toLowerCase())
}

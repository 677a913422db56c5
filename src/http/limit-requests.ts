import type { Server } from 'node:net'
import rateLimit from '@fastify/rate-limit'
import type { FastifyInstance } from 'fastify'
import { EmrError } from '../errors.js'
import { isLoopback } from './access.js'

export interface RequestLimits {
  /** Requests a minute of one address that no known peer calls from, IPv6 by its first 64 bits. */
  readonly strangers: number
  /** And of one that a known peer calls from. */
  readonly peers: number
}
/** What a node under load asks of another is some hundred requests a second; what a person does is far less. */
export const DEFAULT_REQUEST_LIMITS: RequestLimits = { strangers: 1_200, peers: 120_000 }

/** Connections in all, and of one address beyond this machine. */
const MAX_CONNECTIONS = 8_192
const MAX_CONNECTIONS_OF_ONE = 256
/** Addresses of peers that are remembered. */
const MAX_PEERS = 1_000
const MINUTE = 60_000

/**
 * Refuses requests of who sends too many, before a signature is checked or a body read. This machine has no limit:
 * who is on it can take the processor from the node by other means. Behind a proxy, which is then trusted for it,
 * the last address of `X-Forwarded-For` counts.
 *
 * Requests fail with EmrError `too_many_requests` and a `Retry-After`.
 */
export async function limitRequests(server: FastifyInstance, { strangers, peers }: RequestLimits): Promise<void> {
  limitConnections(server.server)
  await server.register(rateLimit, { global: false })
  const known = new Set<string>()
  const count = server.createRateLimit({
    timeWindow: MINUTE,
    ipv6Subnet: 64,
    max: (_request, key) => (known.has(key) ? peers : strangers),
  })
  const keys = new WeakMap<object, string>()
  server.addHook('onRequest', async (request, reply) => {
    // Who watches over many nodes asks often, and it costs nothing.
    if (isLoopback(request.ip) || request.routeOptions.url === '/healthz') return
    const found = await count(request)
    keys.set(request, found.key)
    if (found.isAllowed || !found.isExceeded) return
    reply.header('retry-after', String(found.ttlInSeconds))
    throw new EmrError('too_many_requests')
  })
  server.addHook('preValidation', (request, _reply, done) => {
    const key = keys.get(request)
    if (key !== undefined && request.sender?.address !== undefined) know(key)
    done()
  })

  function know(key: string): void {
    if (known.has(key)) return
    const [oldest] = known
    if (known.size >= MAX_PEERS && oldest !== undefined) known.delete(oldest)
    known.add(key)
  }
}

function limitConnections(server: Server): void {
  server.maxConnections = MAX_CONNECTIONS
  const open = new Map<string, number>()
  server.on('connection', (socket) => {
    const { remoteAddress = '' } = socket
    if (isLoopback(remoteAddress)) return
    const count = (open.get(remoteAddress) ?? 0) + 1
    open.set(remoteAddress, count)
    socket.once('close', () => {
      const left = (open.get(remoteAddress) ?? 1) - 1
      if (left === 0) open.delete(remoteAddress)
      else open.set(remoteAddress, left)
    })
    if (count > MAX_CONNECTIONS_OF_ONE) socket.destroy()
  })
}

import type { Server } from 'node:https'
import multipart from '@fastify/multipart'
import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import Fastify, { type FastifyBaseLogger, LogController } from 'fastify'
import type { EmrNode } from '../node/emr-node.js'
import { VERSION } from '../node/version.js'
import { type AccessRules, guardRequests, requireDeclaredAccess } from './access.js'
import { createChainJson } from './chain-json.js'
import { createMetrics } from './create-metrics.js'
import { answerBadAddress, answerBadRequest, registerErrorReplies } from './error-replies.js'
import { guardReaders } from './guard-readers.js'
import { DEFAULT_REQUEST_LIMITS, limitRequests, type RequestLimits } from './limit-requests.js'
import type { Tls } from './load-tls.js'
import { logRequests } from './log-requests.js'
import { prepareChainJson } from './prepare-chain-json.js'
import type { TypedServer } from './route.js'
import { announcementRoutes } from './routes/announcements.js'
import { blockRoutes } from './routes/blocks.js'
import { consentRoutes } from './routes/consent.js'
import { eventRoutes } from './routes/events.js'
import { fileRoutes } from './routes/files.js'
import { gatewayRoutes } from './routes/gateway.js'
import { healthRoutes } from './routes/health.js'
import { ipfsRoutes } from './routes/ipfs.js'
import { paperChainRoutes } from './routes/paper-chain.js'
import { paperFileRoutes } from './routes/paper-files.js'
import { paperNodeRoutes } from './routes/paper-nodes.js'
import { peerRoutes } from './routes/peers.js'
import { shareRoutes } from './routes/shares.js'
import { transactionRoutes } from './routes/transactions.js'
import { setSecurityHeaders } from './security-headers.js'
import { identifySenders } from './sender.js'
import { type BodyLimits, closeSlowBodies, DEFAULT_BODY_LIMITS } from './slow-bodies.js'
import { validateRequests } from './validate-requests.js'

export interface ServerOptions {
  readonly logger: FastifyBaseLogger
  readonly access: AccessRules
  /** Without it the server speaks plain HTTP. */
  readonly tls?: Tls | undefined
  readonly bodyLimits?: BodyLimits | undefined
  readonly requestLimits?: RequestLimits | undefined
}

/**
 * A server with every route of the node, and no port open. Bodies that are signed are taken as bytes;
 * JSON is checked against its schema as it came, neither coerced nor stripped.
 */
export async function buildServer(
  node: EmrNode,
  { logger, access, tls, bodyLimits = DEFAULT_BODY_LIMITS, requestLimits = DEFAULT_REQUEST_LIMITS }: ServerOptions,
): Promise<TypedServer> {
  const limits = { headersTimeout: 5_000, connectionsCheckingInterval: 1_000, maxHeaderSize: 16_384 }
  const options = {
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: 65_536,
    // Only the limits on requests look at it; that a caller is near is never taken from a header.
    trustProxy: (_address: string, hop: number) => access.behindProxy && hop === 0,
    requestTimeout: 0,
    connectionTimeout: 0,
    forceCloseConnections: 'idle' as const,
    // A GET may cost a search or a whole chain; nobody may have that for an answer without a body.
    exposeHeadRoutes: false,
    frameworkErrors: answerBadAddress,
    clientErrorHandler: answerBadRequest,
  }
  const server: TypedServer = (
    tls ? Fastify<Server>({ ...options, https: { ...limits, ...tls } }) : Fastify({ ...options, http: limits })
  ).withTypeProvider<TypeBoxTypeProvider>()
  server.setValidatorCompiler(validateRequests)

  const chainJson = createChainJson(node)
  const metricRoutes = createMetrics(server, node, chainJson)
  logRequests(server)
  await limitRequests(server, requestLimits)
  guardRequests(server, access)
  closeSlowBodies(server.server, bodyLimits)
  registerErrorReplies(server, (sender, error) => node.judge(sender, error))
  identifySenders(server, node, access)
  guardReaders(server, node, access)
  server.removeContentTypeParser('text/plain')
  for (const type of ['application/vnd.ipld.dag-cbor', 'application/vnd.ipld.car']) {
    server.addContentTypeParser(type, { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
  }
  await setSecurityHeaders(server)
  await server.register(multipart, {
    limits: { fileSize: node.maxUploadBytes, files: 1, fields: 4, parts: 6, headerPairs: 50 },
  })
  await server.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'emrchain',
        version: VERSION,
        description: 'A node for electronic medical records: encrypted files in IPFS, signed records on a chain.',
      },
      tags: [
        { name: 'paper', description: 'The calls of the paper' },
        { name: 'chain', description: 'Blocks and transactions' },
        { name: 'custody', description: 'Shares that are kept for patients' },
        { name: 'consent', description: 'Identities, consent and what became of it' },
        { name: 'files', description: 'Encrypted files' },
        { name: 'peers', description: 'What nodes ask of each other' },
        { name: 'node', description: 'The state of the node' },
      ],
    },
  })
  // The pages of the reference are the plugin's own routes; everybody may read them.
  await server.register(swaggerUi, { routePrefix: '/docs' })
  requireDeclaredAccess(server)

  server.get('/openapi.json', { config: { access: 'public' }, schema: { hide: true } }, () => server.swagger())
  for (const routes of [
    paperFileRoutes,
    (server: TypedServer) => paperChainRoutes(server, node, chainJson),
    paperNodeRoutes,
    transactionRoutes,
    consentRoutes,
    blockRoutes,
    peerRoutes,
    announcementRoutes,
    shareRoutes,
    gatewayRoutes,
    ipfsRoutes,
    fileRoutes,
    healthRoutes,
    eventRoutes,
    metricRoutes,
  ]) {
    routes(server, node)
  }
  prepareChainJson(server, chainJson, node)
  await server.ready()
  return server
}

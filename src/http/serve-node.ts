import type { AddressInfo } from 'node:net'
import type { FastifyBaseLogger } from 'fastify'
import type { NodeConfig } from '../config/node-config.js'
import { EmrError } from '../errors.js'
import { createNode, type NodeDependencies } from '../node/create-node.js'
import type { EmrNode } from '../node/emr-node.js'
import { loadOperatorToken } from '../node/operator-token.js'
import { buildServer } from './build-server.js'
import { loadTls } from './load-tls.js'
import type { TypedServer } from './route.js'
import type { BodyLimits } from './slow-bodies.js'

/** How long requests may take to end when the node closes, in ms, before their connections are cut. */
const CLOSING_TIME = 3_000

/** A node that answers. */
export interface ServedNode {
  readonly url: string
  readonly node: EmrNode
  /** Takes no more requests, ends what runs, and closes the node. */
  close(): Promise<void>
}

export interface ServeDependencies extends Omit<NodeDependencies, 'logger'> {
  readonly logger: FastifyBaseLogger
  /** How long senders of bodies may take. */
  readonly bodyLimits?: BodyLimits
}

/**
 * Opens a node and lets it answer at the address of its configuration.
 *
 * @throws EmrError of `createNode`, and `config_invalid` when the port is taken
 */
export async function serveNode(config: NodeConfig, dependencies: ServeDependencies): Promise<ServedNode> {
  const tls = loadTls(config)
  const { node, start, stop, close } = await createNode(config, dependencies)
  let server: TypedServer | undefined
  try {
    let hosts: ReadonlySet<string> = new Set()
    let origins: ReadonlySet<string> = new Set()
    const { behindProxy, publicUrl } = config
    const token = await loadOperatorToken(config.data)
    const access = { hosts: () => hosts, origins: () => origins, token, behindProxy }
    const { logger, bodyLimits } = dependencies
    server = await buildServer(node, { logger, access, tls, bodyLimits })
    try {
      await server.listen({ port: config.port, host: config.host, listenTextResolver: () => 'listening' })
    } catch (cause) {
      const taken = cause instanceof Error && 'code' in cause && cause.code === 'EADDRINUSE'
      if (taken) throw new EmrError('config_invalid', `port: ${config.port} is taken.`, {}, { cause })
      throw cause
    }
    const { port } = server.server.address() as AddressInfo
    const host = config.host.includes(':') ? `[${config.host}]` : config.host
    const scheme = tls ? 'https' : 'http'
    const url = `${scheme}://${host}:${port}`
    const advertised = publicUrl === undefined ? undefined : new URL(publicUrl)
    const own = [host, '127.0.0.1', 'localhost', '[::1]'].map((name) => `${name}:${port}`)
    hosts = new Set([...own, ...(advertised ? [advertised.host] : [])])
    origins = new Set([...own.map((name) => `${scheme}://${name}`), ...(advertised ? [advertised.origin] : [])])
    dependencies.logger.info({ url }, 'the node answers')
    await start(advertised?.origin ?? url)
    const served = server
    return {
      url,
      node,
      async close() {
        await end(served, stop).finally(close)
      },
    }
  } catch (error) {
    await server?.close()
    await close()
    throw error
  }
}

/** Lets requests that run come to their end; a client that does not take its answer is not waited for. */
async function end(server: TypedServer, stop: () => Promise<void>): Promise<void> {
  const ended = server.close()
  await stop()
  // A connection whose answer ends only now would be kept for a next request.
  const sweep = setInterval(() => server.server.closeIdleConnections(), 20)
  const patience = setTimeout(() => server.server.closeAllConnections(), CLOSING_TIME)
  await ended
  clearInterval(sweep)
  clearTimeout(patience)
}

import type { AddressInfo } from 'node:net'
import type { FastifyBaseLogger } from 'fastify'
import type { NodeConfig } from '../config/node-config.js'
import { createNode, type NodeDependencies } from '../node/create-node.js'
import type { EmrNode } from '../node/emr-node.js'
import { loadOperatorToken } from '../node/operator-token.js'
import { buildServer } from './build-server.js'
import { loadAuthorities, loadTls } from './load-tls.js'
import { assertAddressFree, listenError } from './own-address.js'
import { type OwnNames, ownNames } from './own-names.js'
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

export interface ServeDependencies extends Omit<NodeDependencies, 'logger' | 'peerAuthorities'> {
  readonly logger: FastifyBaseLogger
  /** How long senders of bodies may take. */
  readonly bodyLimits?: BodyLimits
}

/**
 * Opens a node and lets it answer at the address of its configuration.
 *
 * @throws EmrError of `createNode`, and `config_invalid` when nothing can listen at the address
 */
export async function serveNode(config: NodeConfig, dependencies: ServeDependencies): Promise<ServedNode> {
  const tls = loadTls(config)
  const peerAuthorities = loadAuthorities(config)
  await assertAddressFree(config)
  const { node, start, stop, close } = await createNode(config, { ...dependencies, peerAuthorities })
  let server: TypedServer | undefined
  try {
    let names: Pick<OwnNames, 'hosts' | 'origins'> = { hosts: new Set(), origins: new Set() }
    const { behindProxy, publicUrl } = config
    const token = await loadOperatorToken(config.data)
    const access = { hosts: () => names.hosts, origins: () => names.origins, token, behindProxy }
    const { logger, bodyLimits } = dependencies
    server = await buildServer(node, { logger, access, tls, bodyLimits })
    try {
      await server.listen({ port: config.port, host: config.host, listenTextResolver: () => 'listening' })
    } catch (cause) {
      throw listenError(config, cause)
    }
    const { port } = server.server.address() as AddressInfo
    const own = ownNames(tls ? 'https' : 'http', config.host, port, publicUrl)
    names = own
    const { url } = own
    dependencies.logger.info({ url }, 'the node answers')
    await start(own.advertised)
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

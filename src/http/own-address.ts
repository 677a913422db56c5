import { once } from 'node:events'
import { createServer } from 'node:net'
import type { NodeConfig } from '../config/node-config.js'
import { EmrError } from '../errors.js'

type Address = Pick<NodeConfig, 'host' | 'port'>

/**
 * Listens for a moment where a node is to answer, before it writes a first byte to its data folder: who mistypes a port, or
 * starts a node twice, is left no folder with keys that nobody uses.
 *
 * @throws EmrError `config_invalid`
 */
export async function assertAddressFree(address: Address): Promise<void> {
  const server = createServer((socket) => socket.destroy())
  try {
    server.listen(address)
    await once(server, 'listening')
  } catch (cause) {
    throw listenError(address, cause)
  }
  const closed = once(server, 'close')
  server.close()
  await closed
}

/** What is wrong with the configuration where nothing can listen at this address, or the cause as it is. */
export function listenError({ host, port }: Address, cause: unknown): unknown {
  const detail = detailOf(cause instanceof Error && 'code' in cause ? cause.code : undefined, { host, port })
  return detail === undefined ? cause : new EmrError('config_invalid', detail, {}, { cause })
}

function detailOf(code: unknown, { host, port }: Address): string | undefined {
  if (code === 'EADDRINUSE') return `port: ${port} is taken.`
  if (code === 'EACCES') return `port: ${port} is not for this user.`
  if (code === 'EADDRNOTAVAIL') return `host: ${host} is no address of this machine.`
  return code === 'ENOTFOUND' || code === 'EAI_AGAIN' ? `host: ${host} has no address.` : undefined
}

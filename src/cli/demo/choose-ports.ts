import { once } from 'node:events'
import { type AddressInfo, createServer, type Server } from 'node:net'

const HOST = '127.0.0.1'

/** These ports, and for each that is taken a free one instead. */
export async function choosePorts(wanted: readonly number[]): Promise<number[]> {
  const held: Server[] = []
  try {
    // All are held until the last is chosen, so that none comes twice.
    const found = await Promise.all(wanted.map((port) => hold(port)))
    held.push(...found.flatMap((server) => server ?? []))
    const chosen: number[] = []
    for (const server of found) {
      const free = server ?? (await hold(0))
      if (!free) throw new Error('The system has no free port.')
      if (!server) held.push(free)
      chosen.push((free.address() as AddressInfo).port)
    }
    return chosen
  } finally {
    await Promise.all(held.map((server) => new Promise((done) => server.close(done))))
  }
}

/** Listens on a port; undefined when it is taken. */
async function hold(port: number): Promise<Server | undefined> {
  const server = createServer()
  server.listen(port, HOST)
  try {
    await once(server, 'listening')
    return server
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EADDRINUSE') return undefined
    throw error
  }
}

import helmet from '@fastify/helmet'
import Fastify, { type FastifyInstance } from 'fastify'

/** What the answers of this server demand of browsers. */
const options = {
  // It would bind every port of the name, loopback included.
  hsts: false,
  contentSecurityPolicy: {
    useDefaults: false,
    directives: {
      defaultSrc: ["'self'"],
      imgSrc: ["'self'", 'data:'],
      // The pages of /docs style themselves in place.
      styleSrc: ["'self'", "'unsafe-inline'"],
      objectSrc: ["'none'"],
      baseUri: ["'none'"],
      frameAncestors: ["'none'"],
    },
  },
}

/**
 * Sets the headers of helmet on every answer. They are the same for all, and the plugin would read its options and put its
 * policy together again for each request, so it is asked once.
 */
export async function setSecurityHeaders(server: FastifyInstance): Promise<void> {
  const headers = await askHelmet()
  server.addHook('onRequest', (_request, reply, done) => {
    for (const [name, value] of headers) reply.raw.setHeader(name, value)
    done()
  })
}

/** The headers that the plugin sets. */
async function askHelmet(): Promise<readonly (readonly [name: string, value: string])[]> {
  const server = Fastify()
  await server.register(helmet, options)
  const headers: (readonly [string, string])[] = []
  server.get('/', async (_request, { raw }) => {
    for (const [name, value] of Object.entries(raw.getHeaders())) headers.push([name, String(value)])
    return ''
  })
  await server.inject('/')
  await server.close()
  if (headers.length === 0) throw new Error('helmet has set no header.')
  return headers
}

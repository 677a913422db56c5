import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { EmrNode } from '../node/emr-node.js'
import type { NodeStatus } from '../node/node-status.js'
import { Type } from '../typebox.js'
import type { ChainJson } from './chain-json.js'
import { type NodeMetric, nodeMetrics } from './node-metrics.js'
import { createProcessMetrics } from './process-metrics.js'
import { problems, routeOf, type TypedServer } from './route.js'

/** Upper ends of the classes of latencies, in seconds. */
const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]

/** Requests that last as long as the client stays say nothing about the speed of the node. */
const ENDLESS = new Set(['/events'])

/**
 * `GET /metrics` in the text form of Prometheus, from a registry of this server's own. Labels are templates of
 * routes, codes and states of this program: nothing that a request says gets into them.
 *
 * Called before the routes are made, so that each of them is measured; returns what makes the route itself.
 */
export function createMetrics(
  server: TypedServer,
  node: EmrNode,
  chainJson: Pick<ChainJson, 'keptBlocks'>,
): (server: TypedServer) => void {
  const registry = new Registry()
  const setters = nodeMetrics.map((metric) => setterOf(metric, registry))
  const ofProcess = createProcessMetrics(registry)
  server.addHook('onClose', async () => ofProcess.close())

  const keptBlocks = new Gauge({
    name: 'emrchain_chain_text_blocks',
    help: 'Blocks that are kept as text for get_chain.',
    registers: [registry],
  })
  const durations = new Histogram({
    name: 'emrchain_http_request_duration_seconds',
    help: 'Time from the head of a request to the end of its answer, by route and class of status.',
    labelNames: ['method', 'route', 'status'],
    buckets: BUCKETS,
    registers: [registry],
  })
  server.addHook('onResponse', (request, reply, done) => {
    const { method, route } = routeOf(request)
    const status = `${Math.floor(reply.statusCode / 100)}xx`
    if (!ENDLESS.has(route)) durations.observe({ method, route, status }, reply.elapsedTime / 1_000)
    done()
  })

  return (server) => {
    server.get(
      '/metrics',
      {
        config: { access: 'public' },
        schema: {
          tags: ['node'],
          summary: 'Numbers about the node for Prometheus',
          response: {
            200: { description: 'text format 0.0.4', content: { 'text/plain': { schema: Type.String() } } },
            ...problems,
          },
        },
      },
      async (_request, reply) => {
        const [status] = await Promise.all([node.status(), ofProcess.update()])
        for (const set of setters) set(status)
        keptBlocks.set(chainJson.keptBlocks())
        reply.type(registry.contentType)
        return registry.metrics()
      },
    )
  }
}

/** Makes a metric, and gives what takes its value from a status. */
function setterOf(metric: NodeMetric, registry: Registry): (status: NodeStatus) => void {
  const { name, help, kind, label, read } = metric
  const options = { name, help, labelNames: label === undefined ? [] : [label], registers: [registry] }
  const target = kind === 'counter' ? new Counter(options) : new Gauge(options)
  const put = (labels: Record<string, string>, value: number): void => {
    if (target instanceof Counter) target.inc(labels, value)
    else target.set(labels, value)
  }
  return (status) => {
    const reading = read(status)
    target.reset()
    if (typeof reading === 'number') return put({}, reading)
    for (const [value, number] of reading) put(label === undefined ? {} : { [label]: value }, number)
  }
}

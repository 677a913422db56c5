/**
 * Loaded before a node (`node --import`): notes how long it takes for each request that has a header `x-phase`, from the head
 * of the request to the end of its answer as Node.js itself sees them, whatever the server does between. When the
 * process ends, the times in ms go to the file EMRCHAIN_TIMES_FILE, by phase.
 */
import { subscribe } from 'node:diagnostics_channel'
import { writeFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'

const path = process.env.EMRCHAIN_TIMES_FILE
if (path) {
  const began = new WeakMap<IncomingMessage, number>()
  const times: Record<string, number[]> = {}
  subscribe('http.server.request.start', (message) => {
    began.set((message as { request: IncomingMessage }).request, performance.now())
  })
  subscribe('http.server.response.finish', (message) => {
    const { request } = message as { request: IncomingMessage }
    const phase = request.headers['x-phase']
    if (typeof phase !== 'string') return
    times[phase] ??= []
    times[phase].push(performance.now() - (began.get(request) ?? Number.NaN))
  })
  process.once('exit', () => writeFileSync(path, JSON.stringify(times)))
}

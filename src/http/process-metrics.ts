import { readdir } from 'node:fs/promises'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { Counter, Gauge, type Registry } from 'prom-client'

/** Pause between two looks at the event loop, in ms. It is part of what is measured, and taken off again. */
const RESOLUTION = 20
const QUANTILES = [0.5, 0.99, 1] as const

/** What the process costs, under the names that every Prometheus client uses, and how late its event loop is. */
export interface ProcessMetrics {
  /** Takes the numbers of this moment. The delay of the event loop is that since the last call. */
  update(): Promise<void>
  close(): void
}

export function createProcessMetrics(registry: Registry): ProcessMetrics {
  const registers = [registry]
  const gauge = (name: string, help: string, labelNames: string[] = []): Gauge =>
    new Gauge({ name, help, labelNames, registers })
  const cpu = new Counter({ name: 'process_cpu_seconds_total', help: 'Processor time that was used.', registers })
  const resident = gauge('process_resident_memory_bytes', 'Memory that the process holds.')
  const heap = gauge('nodejs_heap_size_used_bytes', 'Memory of JavaScript objects.')
  const files = gauge('process_open_fds', 'Open files and connections; Linux only.')
  const start = gauge('process_start_time_seconds', 'When the process began, since 1970.')
  const delay = gauge(
    'emrchain_event_loop_delay_seconds',
    'How late the event loop was since the last scrape, by quantile.',
    ['quantile'],
  )
  start.set(performance.timeOrigin / 1_000)
  const loop = monitorEventLoopDelay({ resolution: RESOLUTION })
  loop.enable()

  return {
    async update() {
      const { user, system } = process.cpuUsage()
      cpu.reset()
      cpu.inc((user + system) / 1e6)
      const { rss, heapUsed } = process.memoryUsage()
      resident.set(rss)
      heap.set(heapUsed)
      for (const quantile of QUANTILES) {
        const nanoseconds = loop.count > 0 ? loop.percentile(quantile * 100) : 0
        delay.set({ quantile: String(quantile) }, Math.max(0, nanoseconds / 1e9 - RESOLUTION / 1_000))
      }
      loop.reset()
      const open = await readdir('/proc/self/fd').catch(() => undefined)
      if (open) files.set(open.length)
    },
    close: () => void loop.disable(),
  }
}

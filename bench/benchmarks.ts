import { apiBenchmark } from './api.js'
import type { BenchmarkName } from './arguments.js'
import { caliperBenchmark } from './caliper.js'
import { decideBenchmark } from './decide.js'
import type { Benchmark } from './figures.js'
import { filesBenchmark } from './files.js'
import { gossip } from './gossip.js'
import { growthBenchmark } from './growth.js'
import { mining } from './mining.js'
import { networkBenchmark } from './network.js'
import { retrievalBenchmark } from './retrieval.js'
import { signatures } from './signatures.js'
import { sync } from './sync.js'

/** What each name runs. */
export const benchmarks: Readonly<Record<BenchmarkName, Benchmark>> = {
  sync,
  gossip,
  decide: decideBenchmark,
  files: filesBenchmark,
  mining,
  signatures,
  api: apiBenchmark,
  growth: growthBenchmark,
  network: networkBenchmark,
  caliper: caliperBenchmark,
  retrieval: retrievalBenchmark,
}

// Runs after `npm ci` in a clone: compiles src/ into dist/, and tap's test class with the plugins that .taprc names.
// In an install without development dependencies there is no compiler and nothing to do, and this says so.

import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const tsc = fileURLToPath(new URL('../node_modules/typescript/bin/tsc', import.meta.url))
if (!existsSync(tsc)) {
  console.log('emrchain: the TypeScript compiler is not installed, so dist/ is used as it is.')
  process.exit(0)
}
if (process.env.npm_command === 'exec' && existsSync(new URL('../dist/typebox.js', import.meta.url))) {
  // `npx emrchain` in a clone prepares it once more the first time, silently; it is built.
  process.exit(0)
}
const build = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], { stdio: 'inherit' })
if (build.status !== 0) process.exit(build.status ?? 1)
await import('./bundle-typebox.js')

// As installed, tap loads its compiler of TypeScript into every test file, about a second each. It needs no network for
// this: the plugins are installed. Where it fails, tests are slower, and nothing is wrong.
const tap = fileURLToPath(new URL('../node_modules/tap/dist/esm/run.mjs', import.meta.url))
if (existsSync(tap)) spawnSync(process.execPath, [tap, 'build'], { stdio: ['ignore', 'ignore', 'inherit'] })

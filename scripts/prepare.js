// Runs after `npm ci` in a clone: compiles src/ into dist/. In an install without development
// dependencies there is no compiler and nothing to do, and this says so.

import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const tsc = fileURLToPath(new URL('../node_modules/typescript/bin/tsc', import.meta.url))
if (!existsSync(tsc)) {
  console.log('emrchain: the TypeScript compiler is not installed, so dist/ is used as it is.')
  process.exit(0)
}
const build = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], { stdio: 'inherit' })
process.exit(build.status ?? 1)

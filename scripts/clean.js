// Removes what was compiled, so that a test or source that is gone does not run on.
import { rmSync } from 'node:fs'

for (const folder of ['dist', 'dist-test', 'dist-bench'])
  rmSync(new URL(`../${folder}`, import.meta.url), { recursive: true, force: true })

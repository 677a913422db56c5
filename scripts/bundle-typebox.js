// Puts the schema library into the one file dist/typebox.js (docs/decisions/0013-one-file-of-typebox.md). Until it has
// run, that file reads the library from node_modules: the same, only slower.

import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const file = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url))
await build({
  entryPoints: [file('dist/typebox.js')],
  outfile: file('dist/typebox.js'),
  allowOverwrite: true,
  bundle: true,
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  sourcemap: true,
  sourcesContent: false,
  // Its licence asks for this in every copy.
  banner: { js: `/*\n${readFileSync(file('node_modules/typebox/license'), 'utf8')}*/` },
  logLevel: 'warning',
})

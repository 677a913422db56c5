import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'

/**
 * Every file of src/ is loaded once, so that one without any test shows in the coverage instead of being
 * left out of it. Entry points run when they are loaded; they are tested as processes.
 */
const entryPoints = [
  'cli/main.js',
  'mining/worker.js',
  'node/signature-worker.js',
  'ledger/commit-worker.js',
  'ledger/check-database.js',
]

t.test('every file can be loaded by itself', async (t) => {
  const dist = new URL('../../dist/', import.meta.url)
  const files = readdirSync(fileURLToPath(dist), { recursive: true, encoding: 'utf8' }).filter((file) =>
    file.endsWith('.js'),
  )
  t.ok(files.length > 80)
  for (const file of files) {
    if (!entryPoints.includes(file)) t.ok(await import(new URL(file, dist).href), file)
  }
})

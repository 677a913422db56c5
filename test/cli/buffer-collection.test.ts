import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'

const script = fileURLToPath(new URL('../fixtures/many-buffers.js', import.meta.url))

t.test('buffers of which nobody knows any more are collected before many gather', async (t) => {
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [script])
  t.equal(stderr, '', 'V8 knows the option, or is not given it')
  // 256 MiB of them: without the option either version collects about 7 times.
  const collections = Number(stdout)
  const least = Number.parseInt(process.versions.v8, 10) >= 13 ? 24 : 4
  t.ok(collections >= least, `${collections} collections, at least ${least}`)

  if (least < 24) return
  const obeyed = await promisify(execFile)(process.execPath, ['--scavenger-max-new-space-capacity-mb=32', script])
  t.ok(Number(obeyed.stdout) < 16, `${obeyed.stdout} collections where the option is set by hand`)
})

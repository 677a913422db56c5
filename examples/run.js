// `npm run examples`: plays all examples, or those that are named by their numbers, and ends with a line for each.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const folder = fileURLToPath(new URL('.', import.meta.url))
const all = readdirSync(folder)
  .filter((file) => /^\d+-.*\.js$/.test(file))
  .sort()
const wanted = process.argv.slice(2)
const unknown = wanted.filter((number) => !all.some((file) => file.startsWith(`${number}-`)))
if (unknown.length > 0) {
  console.error(`No example ${unknown.join(', ')}. There are:\n  ${all.join('\n  ')}`)
  process.exit(2)
}

let isInterrupted = false
/** @type {import('node:child_process').ChildProcess | undefined} */
let playing
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM'])) {
  process.on(signal, () => {
    isInterrupted = true
    // It cleans up; then this ends.
    playing?.kill(signal)
  })
}

/** @type {string[]} */
const lines = []
for (const file of all.filter(
  (file) => wanted.length === 0 || wanted.some((number) => file.startsWith(`${number}-`)),
)) {
  if (isInterrupted) break
  const started = performance.now()
  playing = spawn(process.execPath, [`${folder}${file}`], { stdio: 'inherit' })
  const [code] = await once(playing, 'exit')
  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  const how = code === 0 ? 'as said' : code === 130 ? 'interrupted' : 'NOT AS SAID'
  lines.push(`${how.padEnd(11)}  ${file}  ${seconds} s`)
  if (code !== 0) process.exitCode = 1
  console.log('')
}
console.log(lines.join('\n'))
if (isInterrupted) process.exitCode = 130

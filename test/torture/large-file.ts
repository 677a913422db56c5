import { execFile } from 'node:child_process'
import { createReadStream, createWriteStream, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { SMALL_YOUNG_GENERATION } from '#emrchain/cli/young-generation.js'
import { easyNetworkFile } from '../fixtures/block-maker.js'
import { digestOf, keystream } from '../fixtures/file-content.js'
import { startNodeProcess } from '../fixtures/node-process.js'
import { post } from '../fixtures/start-node.js'

/** The most memory that a process of the program may hold, in MiB. */
export const MOST_MEMORY = 250

export interface LargeFileReport {
  /** Peak of each process, in MiB. */
  readonly peaks: readonly { readonly what: string; readonly mebibytes: number }[]
  readonly seconds: { readonly add: number; readonly get: number }
  /** Whether what came out is what went in. */
  readonly isSame: boolean
}

/**
 * Adds a file to one node with the command line and gets it from another node, which fetches it from the
 * first. Four times its size must be free on the disk.
 */
export async function largeFile(folder: string, bytes: number): Promise<LargeFileReport> {
  const source = join(folder, 'source')
  await pipeline(Readable.from(keystream(bytes, 'large file')), createWriteStream(source))
  const network = join(folder, 'easy.json')
  writeFileSync(network, JSON.stringify(easyNetworkFile))
  const preload = fileURLToPath(new URL('./report-peak.js', import.meta.url))
  const peakFile = (what: string): string => join(folder, `peak of ${what}`)

  const startPeer = (what: string) => {
    mkdirSync(join(folder, what))
    const options = { DATA: join(folder, what), NETWORK: network, PEAK_FILE: peakFile(what) }
    return startNodeProcess(options, [SMALL_YOUNG_GENERATION, '--import', preload])
  }
  const [first, second] = [await startPeer('first node'), await startPeer('second node')]
  const program = fileURLToPath(new URL('../../bin/emrchain.js', import.meta.url))
  const run = async (what: string, ...args: string[]): Promise<number> => {
    const env = {
      ...process.env,
      EMRCHAIN_PASSPHRASE: 'correct horse battery staple',
      EMRCHAIN_WALLET: join(folder, 'wallet.age'),
      EMRCHAIN_PEAK_FILE: peakFile(what),
    }
    const before = performance.now()
    await promisify(execFile)(process.execPath, ['--import', preload, program, ...args], { env })
    return (performance.now() - before) / 1000
  }
  try {
    await post(`${first.url}/connect_node`, { nodes: [second.url] })
    await run('wallet init', 'wallet', 'init')
    const digest = await digestOf(createReadStream(source))
    const add = await run('emrchain add', 'add', source, '--name', 'large', '--mine', '--node', first.url)
    rmSync(source)
    const output = join(folder, 'copy')
    const get = await run('emrchain get', 'get', 'large', '-o', output, '--node', second.url)
    const isSame = (await digestOf(createReadStream(output))) === digest
    await Promise.all([first.end('SIGTERM'), second.end('SIGTERM')])
    const peaks = ['first node', 'second node', 'emrchain add', 'emrchain get'].map((what) => ({
      what,
      mebibytes: Number(readFileSync(peakFile(what), 'utf8')) / 1024,
    }))
    return { peaks, seconds: { add, get }, isSame }
  } finally {
    await Promise.all([first.end('SIGKILL'), second.end('SIGKILL')])
  }
}

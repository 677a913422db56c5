import { writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { easyNetworkFile } from '../fixtures/block-maker.js'
import { startNodeProcess } from '../fixtures/node-process.js'
import { get } from '../fixtures/start-node.js'

const SLOW = 500
const QUESTIONS = 400
/** Beyond it a sender of headers or of a small body is to be gone: 10 s, and the checks of a second. */
const PATIENCE = 20_000

/** Opens connections that send a byte a second: half of them headers, half of them bodies. */
export async function slow(folder: string, say: (line: string) => void) {
  const network = join(folder, 'easy.json')
  writeFileSync(network, JSON.stringify(easyNetworkFile))
  const node = await startNodeProcess({ DATA: join(folder, 'data'), NETWORK: network, LOG_LEVEL: 'fatal' })
  const { host, hostname, port } = new URL(node.url)
  try {
    const before = await answerTimes(node.url)
    const heads = [
      `POST /add_transaction HTTP/1.1\r\nhost: ${host}\r\nx: `,
      `POST /add_transaction HTTP/1.1\r\nhost: ${host}\r\ncontent-type: application/json\r\ncontent-length: 60000\r\n\r\n`,
    ]
    const sockets = heads.flatMap((head) => Array.from({ length: SLOW }, () => openSlow(hostname, Number(port), head)))
    const closed = Promise.all(sockets.map((socket) => new Promise((gone) => socket.once('close', gone))))
    const drip = setInterval(() => {
      for (const socket of sockets) if (socket.writable) socket.write('a')
    }, 1_000)
    const during = await answerTimes(node.url)
    say(`slow: ${sockets.filter(({ destroyed }) => !destroyed).length} of them still there after the questions`)
    const patience = new AbortController()
    const late = setTimeout(PATIENCE, 'late', { signal: patience.signal }).catch(() => undefined)
    await Promise.race([closed, late])
    patience.abort()
    clearInterval(drip)
    const left = sockets.filter(({ destroyed }) => !destroyed).length
    for (const socket of sockets) socket.destroy()
    const what = `${SLOW} slow headers, ${SLOW} slow bodies`
    const many = `p99 of an answer ${before.toFixed(0)} ms without them, ${during.toFixed(0)} ms beside them`
    const code = await node.end('SIGTERM')
    return [{ what, 'how many': many, lost: left, wrong: code === 0 && during < 1_000 ? 0 : 1 }]
  } finally {
    await node.end('SIGKILL')
  }
}

function openSlow(host: string, port: number, head: string): Socket {
  const socket = connect(port, host)
  // It is cut off in the middle, which is what is asked of the node.
  socket.on('error', () => undefined)
  socket.write(head)
  return socket
}

/** @returns the 99th percentile of the time of an answer, in ms, eight questions at a time */
async function answerTimes(url: string): Promise<number> {
  const times: number[] = []
  const ask = async (): Promise<void> => {
    for (let n = 0; n < QUESTIONS / 8; n++) {
      const start = performance.now()
      const { status } = await get(`${url}/get_chain`)
      if (status !== 200) throw new Error(`The node answered ${status}.`)
      times.push(performance.now() - start)
    }
  }
  await Promise.all(Array.from({ length: 8 }, ask))
  times.sort((a, b) => a - b)
  return times[Math.floor(times.length * 0.99)] ?? Number.NaN
}

import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, get, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import t from 'tap'
import { streamOf } from '#emrchain/http/file-stream.js'
import type { FileBytes } from '#emrchain/node/emr-node.js'

const SIZES = [300_000, 262_144, 7, 65_536, 1, 1_000_000]
const PIECES = 60

/** Pieces of memory that is written over as soon as it comes back, as a later block would do. */
function lentPieces(): { contents: FileBytes; digest(): string; returned(): number } {
  const hash = createHash('sha256')
  let returned = 0
  const contents: FileBytes = {
    async *[Symbol.asyncIterator]() {
      for (let i = 0; i < PIECES; i++) {
        const piece = Buffer.alloc(SIZES[i % SIZES.length] ?? 1, `piece ${i}`)
        hash.update(piece)
        yield piece
      }
    },
    giveBack(piece) {
      returned++
      piece.fill(0xff)
    },
  }
  return { contents, digest: () => hash.digest('hex'), returned: () => returned }
}

t.test('a piece is given back when it has left the process, not before', async (t) => {
  const readers: Readonly<Record<string, (answer: IncomingMessage) => AsyncIterable<Buffer>>> = {
    'a fast reader': (answer) => answer,
    'a reader that stops after each piece': async function* (answer) {
      for await (const piece of answer) {
        await new Promise((resolve) => setImmediate(resolve))
        yield piece
      }
    },
    'a reader that comes late': async function* (answer) {
      // Until the system takes no more: then a piece lies in the response, and another in the stream.
      await full
      yield* answer
    },
  }
  let full = Promise.resolve()
  for (const [name, read] of Object.entries(readers)) {
    const { contents, digest, returned } = lentPieces()
    let tellFull = () => {}
    full = new Promise((resolve) => {
      tellFull = resolve
    })
    const server = createServer((_, response) => {
      const watched: FileBytes = {
        ...contents,
        async *[Symbol.asyncIterator]() {
          let came = 0
          for await (const piece of contents) {
            if (++came === PIECES / 2 || response.writableNeedDrain) tellFull()
            yield piece
          }
        },
      }
      void pipeline(streamOf(watched, response), response)
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const request = get({ port, host: '127.0.0.1' })
    const [answer] = (await once(request, 'response')) as [IncomingMessage]
    const received = createHash('sha256')
    for await (const piece of Readable.from(read(answer))) received.update(piece)
    t.equal(received.digest('hex'), digest(), `${name} gets every byte as it was`)
    t.ok(returned() > PIECES / 2, `${name}: ${returned()} of ${PIECES} pieces came back`)
    server.close()
  }
})

t.test('nothing is given back while the response holds bytes', async (t) => {
  const { contents, returned } = lentPieces()
  for await (const _ of streamOf(contents, { writableLength: 1 }));
  t.equal(returned(), 0)
})

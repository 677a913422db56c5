import type { ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import type { FileBytes } from '../node/emr-node.js'

/**
 * The body of an answer. A piece is given back when it has left the process: it is no longer in the stream, and the
 * response has nothing left that the system did not take. Until then its memory must stay as it is.
 */
export function streamOf(contents: FileBytes, response: Pick<ServerResponse, 'writableLength'>): Readable {
  /** Handed to the stream and not yet given back, oldest first. */
  const lent: Uint8Array[] = []
  async function* pieces() {
    for await (const piece of contents) {
      if (response.writableLength === 0) {
        for (const sent of lent.splice(0, lent.length - stream.readableLength)) contents.giveBack(sent)
      }
      lent.push(piece)
      yield piece
    }
  }
  // Counts its length in pieces.
  const stream = Readable.from(pieces())
  return stream
}

import { bytesToHex, randomBytes } from '@noble/hashes/utils.js'

/** A body that carries one file, and the content type that names its boundary. */
export interface MultipartFile {
  readonly contentType: string
  readonly body: AsyncGenerator<Uint8Array, void, undefined>
}

/**
 * A `multipart/form-data` body (RFC 7578) with one part `file`, made piece by piece as the source gives them. The
 * platform's FormData would want the whole file in memory.
 */
export function multipartFile(source: AsyncIterable<Uint8Array>, fileName: string): MultipartFile {
  const boundary = `emrchain-${bytesToHex(randomBytes(16))}`
  const head = `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="${escapeName(fileName)}"\r\nContent-Type: application/octet-stream\r\n\r\n`
  async function* body(): AsyncGenerator<Uint8Array, void, undefined> {
    yield new TextEncoder().encode(head)
    yield* source
    yield new TextEncoder().encode(`\r\n--${boundary}--\r\n`)
  }
  return { contentType: `multipart/form-data; boundary=${boundary}`, body: body() }
}

/** Quotes and line ends as browsers write them (HTML, section 4.10.22.8); a name must not end its header. */
const escapeName = (name: string): string => name.replaceAll('\r', '%0D').replaceAll('\n', '%0A').replaceAll('"', '%22')

import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { performance } from 'node:perf_hooks'
import { Readable } from 'node:stream'
import { Agent, request as send } from 'undici'
import { EmrError } from '../../errors.js'
import { type Type, Value } from '../../typebox.js'

/** A call to a node, as a reader could make it with curl. */
export interface PaperRequest {
  readonly method: 'GET' | 'POST'
  readonly url: string
  /** Body of the request, as JSON. */
  readonly json?: object
  /** A file that is uploaded instead, as the part `file`. */
  readonly upload?: { readonly path: string; readonly name: string }
}

/** A call, its answer, and the time from the first byte sent to the last one read, in ms. */
export interface Exchange<Answer = unknown> {
  readonly request: PaperRequest
  readonly status: number
  readonly answer: Answer
  readonly ms: number
}

export interface PaperClient {
  /** @throws EmrError `demo_mismatch` when the answer has another status or form, and the signal's reason */
  call<T extends Type.TSchema>(
    request: PaperRequest,
    expected: { status: number; answer: T },
  ): Promise<Exchange<Type.Static<T>>>
  close(): Promise<void>
}

/** Calls nodes over kept connections, without a time limit of its own; the signal ends all calls. */
export function createPaperClient(signal: AbortSignal): PaperClient {
  const agent = new Agent({ headersTimeout: 0, bodyTimeout: 0 })

  return {
    async call(request, expected) {
      const { headers, body } = await bodyOf(request)
      const began = performance.now()
      const reply = await send(request.url, {
        dispatcher: agent,
        method: request.method,
        headers: { ...headers },
        body: body ?? null,
        signal,
      })
      const text = await reply.body.text()
      const ms = performance.now() - began
      const answer = parseAnswer(text)
      const { statusCode: status } = reply
      if (status !== expected.status || !Value.Check(expected.answer, answer)) {
        throw new EmrError(
          'demo_mismatch',
          `${request.method} ${request.url} answered ${status}: ${text.slice(0, 500)}`,
        )
      }
      return { request, status, answer, ms }
    },
    close: () => agent.destroy(),
  }
}

function parseAnswer(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

async function bodyOf({ json, upload }: PaperRequest) {
  if (json) return { headers: { 'content-type': 'application/json' }, body: JSON.stringify(json) }
  if (!upload) return { headers: {} }
  const boundary = 'emrchain-demo-7MA4YWxkTrZu0gW'
  const disposition = `content-disposition: form-data; name="file"; filename="${upload.name}"`
  const head = `--${boundary}\r\n${disposition}\r\ncontent-type: application/octet-stream\r\n\r\n`
  const tail = `\r\n--${boundary}--\r\n`
  const { size } = await stat(upload.path)
  return {
    headers: {
      'content-type': `multipart/form-data; boundary=${boundary}`,
      'content-length': String(Buffer.byteLength(head) + size + Buffer.byteLength(tail)),
    },
    body: Readable.from(multipart(head, upload.path, tail)),
  }
}

async function* multipart(head: string, path: string, tail: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(head)
  yield* createReadStream(path)
  yield Buffer.from(tail)
}

/** The call as a line for a shell. */
export function asCurl({ method, url, json, upload }: PaperRequest): string {
  const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`
  if (upload) return `curl -F ${quoted(`file=@${upload.name}`)} ${url}`
  if (json) return `curl -X ${method} ${url} -H 'content-type: application/json' -d ${quoted(JSON.stringify(json))}`
  return `curl ${method === 'GET' ? '' : `-X ${method} `}${quoted(url)}`
}

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { requestedRange } from '#emrchain/http/byte-range.js'
import { bytesOf, keystream } from '../fixtures/file-content.js'
import { post, startNode } from '../fixtures/start-node.js'

t.test('a part of a file', async (t) => {
  const { url, options } = await startNode(t)
  const contents = await bytesOf(keystream(1_000_000, 'range'))
  writeFileSync(join(options.fileRoot, 'file'), contents)
  const { body } = await post(`${url}/create_hash`, { file_path: 'file' })
  const { Hash } = (body as { 'IPFS Hash': { Hash: string } })['IPFS Hash']
  const ask = async (headers: Record<string, string>) => {
    const answer = await fetch(`${url}/files/${Hash}`, { headers })
    return { answer, bytes: Buffer.from(await answer.arrayBuffer()) }
  }

  const whole = await ask({})
  t.equal(whole.answer.status, 200)
  t.equal(whole.answer.headers.get('accept-ranges'), 'bytes')
  t.equal(whole.answer.headers.get('content-length'), '1000000')
  const etag = whole.answer.headers.get('etag') ?? ''
  t.equal(etag, `"${Hash}"`)
  t.ok(whole.bytes.equals(contents))

  for (const [range, start, end] of [
    ['bytes=0-0', 0, 1],
    ['bytes=262143-262144', 262_143, 262_145],
    ['bytes=999999-', 999_999, 1_000_000],
    ['bytes=300000-2000000', 300_000, 1_000_000],
    ['bytes=-5', 999_995, 1_000_000],
    ['bytes=-2000000', 0, 1_000_000],
  ] as const) {
    const { answer, bytes } = await ask({ range, 'if-range': etag })
    t.equal(answer.status, 206, range)
    t.equal(answer.headers.get('content-range'), `bytes ${start}-${end - 1}/1000000`)
    t.equal(answer.headers.get('content-length'), String(end - start))
    t.equal(answer.headers.get('etag'), etag)
    t.ok(bytes.equals(contents.subarray(start, end)), `the bytes of ${range}`)
  }

  for (const range of ['bytes=1000000-', 'bytes=1000000-1000005', 'bytes=-0']) {
    const { answer, bytes } = await ask({ range })
    t.equal(answer.status, 416, range)
    t.equal(answer.headers.get('content-range'), 'bytes */1000000')
    t.equal(answer.headers.get('content-type'), 'application/problem+json; charset=utf-8')
    t.match(JSON.parse(bytes.toString()), { code: 'range_unsatisfiable' })
  }

  // What a server may pass over, and what names another file.
  for (const headers of [
    { range: 'bytes=0-1,5-6' },
    { range: 'lines=0-1' },
    { range: 'bytes=5-1' },
    { range: 'bytes=-' },
    { range: 'bytes=0-1', 'if-range': '"other"' },
    { range: 'bytes=0-1', 'if-range': `W/${etag}` },
  ] as Record<string, string>[]) {
    const { answer, bytes } = await ask(headers)
    t.equal(answer.status, 200, JSON.stringify(headers))
    t.ok(bytes.equals(contents))
  }
})

t.test('an empty file has no range', async (t) => {
  const ask = (range: string) => () => requestedRange({ size: 0, etag: '"x"', range, ifRange: undefined })
  for (const range of ['bytes=0-', 'bytes=0-0', 'bytes=-1'])
    t.throws(ask(range), { code: 'range_unsatisfiable' }, range)
})

import { CarReader } from '@ipld/car'
import { request } from 'undici'
import type { Case, Wanted } from './cases.js'

interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: Buffer
}

/** What is wrong with the answer of a gateway to this case; undefined where it is one of the right ones. */
export async function faultOf(
  { path, query = {}, headers = {}, wanted }: Case,
  gateway: string,
): Promise<string | undefined> {
  const url = new URL(path, gateway)
  url.search = new URLSearchParams(query).toString()
  let answer: Answer
  try {
    const { statusCode, headers: got, body } = await request(url, { headers })
    answer = { status: statusCode, headers: got, body: Buffer.from(await body.arrayBuffer()) }
  } catch (error) {
    return `the answer broke off: ${error instanceof Error ? error.message : String(error)}`
  }
  const faults: string[] = []
  for (const one of [wanted].flat()) {
    const fault = await differs(answer, one)
    if (fault === undefined) return undefined
    faults.push(fault)
  }
  return faults.join('; or ')
}

async function differs({ status, headers, body }: Answer, wanted: Wanted): Promise<string | undefined> {
  if (status !== wanted.status) return `status ${status}, wanted ${wanted.status}`
  for (const [name, pattern] of Object.entries(wanted.headers ?? {})) {
    const value = String(headers[name] ?? '')
    if (!pattern.test(value)) return `${name}: ${value}`
  }
  if (wanted.body && !body.equals(wanted.body)) return `a body of ${body.length} bytes, wanted ${wanted.body.length}`
  if (!wanted.blocks && !wanted.someBlocks) return undefined
  let got: string[]
  try {
    got = await blocksOf(body)
  } catch (error) {
    return `no whole CAR: ${error instanceof Error ? error.message : String(error)}`
  }
  if (wanted.blocks && got.join() !== wanted.blocks.join()) return `blocks ${got}, wanted ${wanted.blocks}`
  const lacking = wanted.someBlocks?.filter((cid) => !got.includes(cid.toString())) ?? []
  return lacking.length === 0 ? undefined : `without the blocks ${lacking}`
}

async function blocksOf(car: Uint8Array): Promise<string[]> {
  const cids: string[] = []
  for await (const { cid } of (await CarReader.fromBytes(car)).blocks()) cids.push(cid.toString())
  return cids
}

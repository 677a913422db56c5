import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { request } from 'undici'
import { createBlockMaker, signerOf } from '../test/fixtures/block-maker.js'
import { type NodeProcess, startNodeProcess } from '../test/fixtures/node-process.js'
import { postJson, postRequest, putUnderLoad } from './http-load.js'
import { AUTHORS, plainLabel } from './make-chain.js'
import { quantile } from './quantile.js'

const CONNECTIONS = 64
/** The development server makes a thread for each; with more it is slower. */
const PROTOTYPE_CONNECTIONS = 16
const CBOR = 'application/vnd.ipld.dag-cbor'

/** Requests a second, and times in ms as the client sees them. */
export interface Writes {
  readonly submitted: number
  readonly submittedP50: number
  readonly submittedP99: number
  readonly added: number
  readonly addedP50: number
  readonly addedP99: number
  readonly prototype: number | undefined
  readonly prototypeP99: number | undefined
  readonly hello: number
}

export interface WritesOptions {
  readonly network: string
  readonly hello: string
  readonly prototype: string | undefined
  readonly isQuick: boolean
}

/**
 * Signs what is to be sent, once; each call of what it gives has a node of its own take it. The first of the requests warm
 * the node and do not count.
 */
export function prepareWrites({ network, hello, prototype, isQuick }: WritesOptions) {
  const maker = createBlockMaker()
  const [warm, count, records] = isQuick ? [500, 2_000, 1_000] : [3_000, 20_000, 10_000]
  const signed = Array.from({ length: warm + count }, (_, at) => {
    const signer = signerOf(`author-${at % AUTHORS}`)
    return maker.record(`record ${at}`, { signer, label: plainLabel(at) }).bytes
  })
  const paper = (at: number, hash: string) => ({ user_id: `user-${at}`, ipfs_hash: hash, EHR_name: `MRI-${at}` })

  const load = (url: string, requests: Buffer[], status: number, connections = CONNECTIONS) =>
    putUnderLoad({ url, requests, status, connections })

  return async (folder: string): Promise<Writes> => {
    const floor = await load(
      hello,
      signed.slice(0, count).map((bytes) => postRequest(hello, '/', CBOR, bytes)),
      200,
    )
    mkdirSync(folder)
    writeFileSync(join(folder, 'MRI.aes'), 'twenty bytes of text')
    const node = await startNodeProcess({ DATA: join(folder, 'data'), NETWORK: network, FILE_ROOT: folder })
    try {
      const submissions = signed.map((bytes) => postRequest(node.url, '/transactions', CBOR, bytes))
      await load(node.url, submissions.slice(0, warm), 202)
      const submitted = await load(node.url, submissions.slice(warm), 202)
      const hash = await createHash(node)
      const additions = Array.from({ length: warm + records }, (_, at) =>
        postJson(node.url, '/add_transaction', paper(at, hash)),
      )
      await load(node.url, additions.slice(0, warm), 201)
      const added = await load(node.url, additions.slice(warm), 201)
      const old =
        prototype &&
        (await load(
          prototype,
          Array.from({ length: 2_000 }, (_, at) => postJson(prototype, '/add_transaction', paper(at, hash))),
          201,
          PROTOTYPE_CONNECTIONS,
        ))
      return {
        submitted: submitted.perSecond,
        submittedP50: quantile(submitted.times, 0.5),
        submittedP99: quantile(submitted.times, 0.99),
        added: added.perSecond,
        addedP50: quantile(added.times, 0.5),
        addedP99: quantile(added.times, 0.99),
        prototype: old ? old.perSecond : undefined,
        prototypeP99: old ? quantile(old.times, 0.99) : undefined,
        hello: floor.perSecond,
      }
    } finally {
      await node.end('SIGTERM')
    }
  }
}

async function createHash({ url }: NodeProcess): Promise<string> {
  const answer = await request(`${url}/create_hash`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ file_path: 'MRI.aes' }),
  })
  const stored = (await answer.body.json()) as { 'IPFS Hash': { Hash: string } }
  return stored['IPFS Hash'].Hash
}

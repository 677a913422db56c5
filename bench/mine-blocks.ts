import { Agent, FormData, fetch } from 'undici'

/**
 * Mines blocks of one record each over HTTP, one after another, at a node or at the prototype: they have the same calls.
 *
 * @param hash CID of a file that the node has; the prototype takes any
 * @returns how long each `mine_block` took, in ms; adding the record does not count
 */
export async function mineBlocks(url: string, hash: string, count: number): Promise<number[]> {
  const agent = new Agent({ headersTimeout: 600_000 })
  const took: number[] = []
  try {
    for (let at = 0; at < count; at++) {
      const record = { user_id: 'xxxxx', ipfs_hash: hash, EHR_name: `MRI-${at}` }
      const added = await agent.request({
        origin: url,
        path: '/add_transaction',
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(record),
      })
      await added.body.dump()
      const before = performance.now()
      const mined = await agent.request({ origin: url, path: '/mine_block', method: 'GET' })
      const { transactions } = (await mined.body.json()) as { transactions: readonly { EHR_name: string }[] }
      took.push(performance.now() - before)
      if (added.statusCode !== 201 || mined.statusCode !== 200 || transactions.at(-1)?.EHR_name !== record.EHR_name) {
        throw new Error(`The record is not in the block: ${added.statusCode}, ${mined.statusCode}.`)
      }
    }
  } finally {
    await agent.close()
  }
  return took
}

/** Has a node keep a small file. @returns its CID */
export async function storeFile(url: string): Promise<string> {
  const form = new FormData()
  form.append('file', new Blob(['hello world\n']), 'MRI.pdf')
  const answer = await fetch(`${url}/create_hash`, { method: 'POST', body: form })
  const body = (await answer.json()) as { 'IPFS Hash'?: { Hash: string } }
  const hash = body['IPFS Hash']?.Hash
  if (hash === undefined) throw new Error(`The file was not stored: ${answer.status}.`)
  return hash
}

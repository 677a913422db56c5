import type { FileBytes } from './emr-node.js'

/**
 * The same bytes when the first of them have come, so that what fails at once fails before anything was answered. They
 * can be read once.
 */
export async function begun(contents: FileBytes): Promise<FileBytes> {
  const iterator = contents[Symbol.asyncIterator]()
  let first: IteratorResult<Uint8Array> | undefined = await iterator.next()
  const rest: AsyncIterator<Uint8Array> = {
    async next() {
      const piece = first ?? (await iterator.next())
      first = undefined
      return piece
    },
    async return() {
      await iterator.return?.()
      return { done: true, value: undefined }
    },
  }
  return { [Symbol.asyncIterator]: () => rest, giveBack: contents.giveBack }
}

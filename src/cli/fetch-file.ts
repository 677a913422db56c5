import { downloadResuming, type Retry } from '../client/download-resuming.js'
import type { NodeClient } from '../client/node-client.js'
import type { FileKey } from '../client/wallet.js'
import { nodeAead } from '../crypto/aead-node.js'
import { decryptFile, encryptedSize, FILE_CONTEXT } from '../crypto/file-cipher.js'
import { isEmrError } from '../errors.js'
import { openPartialFile, type PartialFile, partialPath } from './partial-file.js'
import { showProgress } from './progress.js'
import { bytesText, durationText } from './text.js'

export interface FetchFileOptions {
  readonly client: Pick<NodeClient, 'downloadFile'>
  readonly signal: AbortSignal
  /** Hears, in whole sentences, how it goes on. */
  say(sentence: string): void
}

/**
 * Fetches a file and decrypts it into the hands of `write`. What had come when an earlier command for the same output was
 * interrupted is not fetched again; what breaks off in between is tried again; and when this command is interrupted, what
 * has come is kept for a later one, encrypted, beside the output.
 *
 * @param output what names the place of the partial file
 * @throws EmrError those of `openPartialFile`, `downloadResuming`, `decryptFile` and `write`
 */
export async function fetchFile<Result>(
  { cid, key, fileName, size }: FileKey,
  output: string,
  { client, signal, say }: FetchFileOptions,
  write: (contents: AsyncGenerator<Uint8Array, void, undefined>) => Promise<Result>,
): Promise<Result> {
  const options = { key: Buffer.from(key, 'hex'), context: FILE_CONTEXT, aead: nodeAead }
  const partial = await openPartialFile(partialPath(output, cid), options)
  const total = encryptedSize(size)
  const progress = await showProgress(fileName, total)
  const { onProgress } = progress
  const onRetry = (retry: Retry) => say(retryText(retry))
  try {
    if (partial.kept > 0) say(`${bytesText(partial.kept)} of ${bytesText(total)} are here already.`)
    const encrypted = partial.contents((start) =>
      downloadResuming(client, cid, { range: { start }, onProgress, onRetry, signal }),
    )
    const result = await write(decryptFile(encrypted, options))
    await partial.discard()
    return result
  } catch (error) {
    progress.stop()
    await endWith(error, partial, say)
    throw error
  } finally {
    progress.stop()
  }
}

/** Keeps what a later command can go on from, and says so. */
async function endWith(error: unknown, partial: PartialFile, say: (sentence: string) => void): Promise<void> {
  // The file is not as it must be and would not be a second time, or the same command would end the same way.
  if (isEmrError(error) && /^(cipher|folder)_|^output_exists$/.test(error.code)) return partial.discard()
  const kept = await partial.close()
  if (kept === 0) return
  say(`${bytesText(kept)} are kept in ${partial.path}, encrypted. The same command goes on from there.`)
}

export const retryText = ({ attempt, of, inMs, error }: Retry): string =>
  `${error.message} Trying again in ${durationText(Math.ceil(inMs / 1000))} (${attempt} of ${of}).`

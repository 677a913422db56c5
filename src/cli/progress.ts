import { bytesText } from './text.js'

/** Files of this size and more get a bar. */
const LEAST_SIZE = 4 * 1024 * 1024

export interface Progress {
  /** Called with the bytes that are done so far. */
  readonly onProgress: (bytes: number) => void
  /** Ends the bar, whether all is done or not. */
  stop(): void
}

/** A bar on stderr for a large file, where a person looks on; otherwise nothing. */
export async function showProgress(label: string, total: number): Promise<Progress> {
  if (total < LEAST_SIZE || !process.stderr.isTTY) return { onProgress: () => undefined, stop: () => undefined }
  const { default: cliProgress } = await import('cli-progress')
  const bar = new cliProgress.SingleBar({
    format: `${label} {bar} {percentage}%  {done} of ${bytesText(total)}  {eta_formatted} left`,
    hideCursor: true,
    stream: process.stderr,
    etaBuffer: 50,
    gracefulExit: false,
  })
  bar.start(total, 0, { done: bytesText(0) })
  return {
    onProgress: (bytes) => bar.update(Math.min(bytes, total), { done: bytesText(bytes) }),
    stop: () => bar.stop(),
  }
}

import { once } from 'node:events'

/** Writes to stdout, no faster than what reads it takes it. */
export async function write(text: string): Promise<void> {
  if (!process.stdout.write(text)) await once(process.stdout, 'drain')
}

/** The result of a command: one JSON document for programs, or text for people. */
export const print = (
  { json }: { readonly json: boolean },
  { document, text }: { readonly document: object; readonly text: string },
): Promise<void> => write(`${json ? JSON.stringify(document) : text}\n`)

let leave = (): void => process.exit(0)

/** A reader that has seen enough, as `head`, closes the pipe; that is no failure of a command that only shows things. */
export function endWithReader(): void {
  process.stdout.on('error', (error) => {
    if (!('code' in error && error.code === 'EPIPE')) throw error
    leave()
  })
}

/** What a command does instead that must not end half-way. */
export function whenReaderLeaves(handler: () => void): void {
  leave = handler
}

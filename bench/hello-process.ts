import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

export interface HelloProcess {
  readonly url: string
  end(): Promise<void>
}

/** Starts hello-server.ts; resolves when it answers. */
export async function startHello(): Promise<HelloProcess> {
  const script = fileURLToPath(new URL('./hello-server.js', import.meta.url))
  const child = spawn(process.execPath, [script], { stdio: ['pipe', 'pipe', 'inherit'] })
  const exited = once(child, 'exit')
  const line = await Promise.race([once(createInterface(child.stdout), 'line'), exited.then(() => undefined)])
  if (!line) throw new Error(`The server ended at once: ${child.exitCode}.`)
  const { url }: { url: string } = JSON.parse(String(line[0]))
  return {
    url,
    async end() {
      child.stdin.end()
      await exited
    },
  }
}

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { request } from 'undici'

/** The program of the paper as a process of its own; its calls are in prototype.py. */
export interface PrototypeProcess {
  readonly url: string
  /** The versions of Python and Flask. */
  readonly versions: string
  /** Adds blocks with records named MRI-0 and so on; their nonces were not searched, so that is quick. */
  seed(blocks: number, transactionsEach: number): Promise<void>
  end(): Promise<void>
}

const SCRIPT = fileURLToPath(new URL('../../../bench/peers/prototype.py', import.meta.url))
const GENESIS = '03bee3d22f9c590f051f15f6efe33f282cfeac3fd90957779f04ddf29c2c879d'
const SECOND_NONCE = 533

/**
 * Starts the prototype; resolves when it answers and has mined block 2 as the paper prints it: a reference with other
 * rules would be none. Undefined where Python 3 or Flask is missing, which `leaveOut` hears.
 *
 * @throws Error when it ends before it answers, or mines another block
 */
export async function startPrototype(leaveOut: (what: string) => void): Promise<PrototypeProcess | undefined> {
  const asked =
    'import platform, importlib.metadata as m; import flask; print(platform.python_version(), m.version("flask"))'
  const probe = spawnSync('python3', ['-c', asked], { encoding: 'utf8' })
  if (probe.status !== 0) {
    leaveOut(`the prototype; ${probe.error ? 'there is no python3' : 'Python has no Flask (pip install flask)'}`)
    return undefined
  }
  const [python, flask] = probe.stdout.trim().split(' ')
  // The server writes a line for each request, as it does for whoever starts it by hand.
  const child = spawn('python3', [SCRIPT], { stdio: ['pipe', 'pipe', 'ignore'] })
  const exited = once(child, 'exit')
  const end = async (): Promise<void> => {
    child.stdin.end()
    await exited
  }
  const line = await Promise.race([once(createInterface(child.stdout), 'line'), exited.then(() => undefined)])
  if (!line) throw new Error(`The prototype ended at once: ${child.exitCode}.`)
  const { port }: { port: number } = JSON.parse(String(line[0]))
  const url = `http://127.0.0.1:${port}`
  try {
    const answer = await request(`${url}/mine_block`)
    const { nonce, previous_hash: parent } = (await answer.body.json()) as { nonce: number; previous_hash: string }
    if (nonce !== SECOND_NONCE || parent !== GENESIS) throw new Error(`Not the paper's block 2: ${nonce} on ${parent}.`)
  } catch (error) {
    await end()
    throw error
  }
  return {
    url,
    versions: `Python ${python}, Flask ${flask}`,
    async seed(blocks, transactions) {
      const answer = await request(`${url}/seed`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ blocks, transactions }),
      })
      await answer.body.dump()
      if (answer.statusCode !== 201) throw new Error(`The prototype was not seeded: ${answer.statusCode}.`)
    },
    end,
  }
}

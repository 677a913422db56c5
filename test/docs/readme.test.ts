import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, constants, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { createInterface } from 'node:readline'
import t, { type Test } from 'tap'
import { choosePorts } from '#emrchain/cli/demo/choose-ports.js'
import { fencedBlocks, readDocument, root, sectionOf } from './markdown.js'
import { differenceFromSample } from './sample-answer.js'

/** The tour of the README, taken as a reader takes it: every block is run, every answer compared. */

const program = join(root, 'bin', 'emrchain.js')
/** The block that goes on running in a terminal of its own. */
const NETWORK = 'npx emrchain network'

interface Step {
  readonly command: string
  /** What the README shows as its answer, if it shows one. */
  readonly sample?: { readonly language: string; readonly text: string }
  readonly proseBefore: string
}

/** The steps of the tour, for nodes on these ports. */
function readTour(ports: readonly number[]): Step[] {
  const withPorts = (text: string) => text.replace(/\b500([234])\b/g, (_, digit) => String(ports[Number(digit) - 2]))
  const steps: Step[] = []
  for (const { language, text, proseBefore } of fencedBlocks(
    sectionOf(readDocument('README.md'), 'A tour in five minutes'),
  )) {
    if (language === 'sh') {
      steps.push({ command: withPorts(text.trim()), proseBefore })
      continue
    }
    const step = steps.pop()
    if (!step || step.sample) throw new Error(`This answer is to no command: ${text}`)
    steps.push({ ...step, sample: { language, text: withPorts(text) } })
  }
  return steps
}

/** Nothing of this process's environment but what a shell needs; `node` is what is asked on the default port. */
const environmentIn = (folder: string, node: string) => ({
  PATH: process.env.PATH,
  HOME: folder,
  EMRCHAIN_NODE: node,
  EMRCHAIN_PASSPHRASE: 'a passphrase for the tour',
  // A Kubo of this machine is not the test's to fill.
  EMRCHAIN_IPFS: 'embedded',
  EMRCHAIN_MINING_THREADS: '1',
})

/** Where commands are run. */
type Place = Readonly<{ cwd: string; env: NodeJS.ProcessEnv }>

/** Runs a block of commands in a shell of its own, which ends at the first one that fails. */
const runBlock = (command: string, place: Place): Promise<{ code: number; output: string; errors: string }> =>
  new Promise((resolve) => {
    const text = command.replaceAll('npx emrchain', `'${process.execPath}' '${program}'`)
    execFile('sh', ['-e', '-c', text], { ...place }, (error, output, errors) => {
      resolve({ code: error ? Number(error.code ?? -1) : 0, output, errors })
    })
  })

/** Starts the network and reads what it prints up to the line `ready`. */
async function startNetwork(t: Test, place: Place): Promise<{ process: ChildProcess; output: string }> {
  const child = spawn(process.execPath, [program, 'network'], { ...place, stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => child.kill('SIGKILL'))
  const output = await new Promise<string>((resolve, reject) => {
    let lines = ''
    createInterface(child.stdout)
      .on('line', (line) => {
        lines += `${line}\n`
        if (line === 'ready') resolve(lines)
      })
      .on('close', () => reject(new Error(`The network ended before it was ready:\n${lines}`)))
  })
  return { process: child, output }
}

/** What Ctrl-C does. */
async function interrupt(child: ChildProcess): Promise<number | null> {
  const exited = once(child, 'exit')
  child.kill('SIGINT')
  const [code] = await exited
  return code
}

/** Why the tour cannot be taken here; undefined where it can. */
function missing(): string | undefined {
  const found = (process.env.PATH ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, 'curl'), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
  if (found) return undefined
  const reason = 'There is no curl, which the tour of the README is made with.'
  if ((process.env.EMRCHAIN_REQUIRE ?? '').split(/[ ,]+/).includes('curl')) throw new Error(reason)
  return reason
}

t.test('the tour goes as it is printed', { skip: missing() ?? false }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'emrchain-tour-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  // Nodes are listed in the order of their addresses as text.
  const ports = (await choosePorts([0, 0, 0])).sort((a, b) => (String(a) < String(b) ? -1 : 1))
  writeFileSync(
    join(folder, 'nodes.example.json'),
    JSON.stringify({ nodes: ports.map((port) => `http://127.0.0.1:${port}`) }),
  )

  const place = { cwd: folder, env: environmentIn(folder, `http://127.0.0.1:${ports[0]}`) }
  let network: ChildProcess | undefined
  let commands = 0
  let answers = 0
  for (const { command, sample, proseBefore } of readTour(ports)) {
    if (/\bCtrl-C\b/.test(proseBefore) && network) {
      t.equal(await interrupt(network), 0, 'the network closes cleanly')
      network = undefined
    }
    let output: string
    if (command === NETWORK) {
      const started = await startNetwork(t, place)
      network = started.process
      output = started.output
    } else {
      const ran = await runBlock(command, place)
      t.equal(ran.code, 0, `${command}\n${ran.errors}`)
      output = ran.output
    }
    commands += command.match(/^(curl|npx emrchain)\b/gm)?.length ?? 0
    if (!sample) {
      t.equal(output, '', `nothing is printed by: ${command}`)
      continue
    }
    answers++
    t.equal(differenceFromSample(sample, output), undefined, command)
  }
  t.equal(network, undefined, 'the tour stops the network')
  t.ok(commands >= 12, 'the tour has its commands')
  t.ok(answers >= 12, 'and its answers')
})

t.test('a difference is seen', async (t) => {
  const json = (text: string) => ({ language: 'json', text })
  const text = (sample: string) => ({ language: 'text', text: sample })
  const agree = [
    [json('{"a":1,"b":[],...}'), '{"b":[],"a":1,"c":2}'],
    [json('{"a":...,"b":"x...z"}'), '{"a":{"q":1},"b":"xyz"}'],
    [json('[{"a":1},...]'), '[{"a":1},{"b":2}]'],
    [json('{...}'), '{}'],
    [text('...\na  b\n'), 'x\ny\na b\n'],
    [text('as Qm....\n'), 'as Qmabc.'],
  ] as const
  for (const [sample, answer] of agree) t.equal(differenceFromSample(sample, answer), undefined, answer)
  const differ = [
    [json('{"a":1}'), '{"a":2}'],
    [json('{"a":1}'), '{"a":"1"}'],
    [json('{"a":1}'), '{"a":1,"b":2}'],
    [json('{"a":1,"b":...}'), '{"a":1}'],
    [json('{"a":"x...z"}'), '{"a":"xy"}'],
    [json('{"a":"1.2"}'), '{"a":"1x2"}'],
    [json('[1]'), '[1,2]'],
    [json('[1,2,...]'), '[1]'],
    [json('{}'), 'null'],
    [json('[]'), '{}'],
    [json('{}'), '<html>'],
    [json('{} {}'), '{}'],
    [text('a\n'), 'a\nb\n'],
    [text('...\na\n'), 'a\nb\n'],
    [text('a...c\n'), 'a\nc\n'],
    [{ language: 'yaml', text: 'a' }, 'a'],
  ] as const
  for (const [sample, answer] of differ) t.type(differenceFromSample(sample, answer), 'string', answer)
})

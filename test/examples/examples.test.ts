import { spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'

const examples = fileURLToPath(new URL('../../examples/', import.meta.url))
const story = new URL('../../examples/shared/story.js', import.meta.url).href

interface Played {
  readonly code: number | null
  readonly output: string
}

/** Plays an example, or what else Node.js is given, with temporary folders in a folder of the test's. */
async function play(
  t: Test,
  words: readonly string[],
  onLine?: (line: string, end: () => void) => void,
): Promise<Played> {
  const folder = t.testdir()
  const child = spawn(process.execPath, words, { env: { TMPDIR: folder }, stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => child.kill())
  let output = ''
  createInterface(child.stdout).on('line', (line) => {
    output += `${line}\n`
    onLine?.(line, () => child.kill('SIGTERM'))
  })
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve))
  t.same(readdirSync(folder), [], 'it leaves nothing behind')
  return { code, output }
}

const denied = (reason: string): string =>
  `      The answer is release_denied: The consent on the chain does not allow this access. The reason: ${reason}.`

/** What each example must say beside ending well. */
const scenarios: Readonly<Record<string, readonly (string | RegExp)[]>> = {
  '1-hospital.js': [
    '  ok  The administrator certifies the hospital.',
    '  ok  The chain holds neither its name nor its text.',
    '  ok  Ann reads it.',
    '  ok  Dr. Grey reads it.',
    denied('no_grant'),
  ],
  '2-certificates.js': [
    '  ok  Dr. Grey reads it.',
    '  ok  Each access is there, and each that was refused.',
    '  ok  The quack writes himself into the certificate of Dr. Grey.',
    '  ok  The forged certificate makes nobody a doctor.',
    '  ok  By the time of the chain the locum is no doctor: nobody has to notice.',
    '  ok  The consent of Ann stands, and is of no use without the role.',
    denied('revoked'),
    denied('used_up'),
    denied('no_role'),
  ],
  '3-roles.js': [
    '  ok  The technician reads what she wrote herself.',
    '  ok  The insurance agent reads the bill, for payment.',
    '  ok  The researcher reads what names nobody, for research.',
    '  ok  Dr. Burke is refused, whatever the hospital may.',
    '      The chain says approval_missing: A doctor has to sign under what a laboratory technician amends.',
    '  ok  With the signature of Dr. Grey too it takes the place of the first.',
    '  ok  Those that were allowed are there: eight.',
    denied('above_ceiling'),
    denied('denied'),
    /Z {2}Rita, researcher: READ for HRESCH\. accepted\n/,
  ],
  '4-bare-flow.js': [
    '  ok  A block holds the record, with user and name in clear as in the paper.',
    /\n {6}emrchain-key:v1:\S+\.\.\.\n/,
    '  ok  It is the file of the patient.',
    '      The answer is cipher_wrong_key: The key does not belong to this file.',
  ],
  '5-revocation-erasure.js': [
    '  ok  Dr. Grey still has the half of the key that the chain holds, and the ciphertext.',
    denied('revoked'),
    '  ok  Half a key opens nothing.',
    '  ok  Of that one Dr. Grey has no half at all: the class has a new key.',
    '  ok  Dr. Hunt, to whom the new key was sealed, reads it.',
    /\n {6}The answer is release_frozen: .* erasure baf\S+\.\n/,
    /\n {6}north: share, label, ciphertext\n/,
    /\n {6}south: share, label\n/,
    /\n {2}ok {2}Dr\. Hunt does not\.\n {6}The answer is record_erased: /,
    /\n {2}ok {2}All \d+ blocks verify from the first byte/,
  ],
  '6-audit.js': [
    '  ok  Ann sees all three at once, before any block holds them.',
    '  ok  By the chain that the west has, Dr. Grey may still read.',
    /\n {6}The answer is access_unacknowledged: /,
    denied('revoked'),
    denied('no_grant'),
    '  ok  So are the four refusals, that of the custodian that was cut off included.',
    /Z {2}Dr\. Grey: READ for TREAT\. accepted, and the share was given out by the (north|south|west)\n/,
    /Z {2}Phil, pharmacist: READ for TREAT\. no_grant\n/,
    '  ok  A custodian has signed for each share that it gave out: for both readings, and for nothing else.',
    '  ok  The south shows Ann the same, line by line.',
    '  ok  The west shows Ann the same, line by line.',
  ],
}

// Some seconds each on a free core; more where there is none.
t.setTimeout(600_000)
t.jobs = 3
t.test('each example has its lines here', async (t) => {
  t.same(
    readdirSync(examples).filter((file) => /^\d/.test(file)),
    Object.keys(scenarios),
  )
})

for (const [file, wanted] of Object.entries(scenarios)) {
  t.test(file, { buffered: true }, async (t) => {
    const { code, output } = await play(t, [`${examples}${file}`])
    t.equal(code, 0, output)
    const lines = output.split('\n')
    for (const line of wanted) t.ok(typeof line === 'string' ? lines.includes(line) : line.test(output), `${line}`)
    t.match(output, /: all \d+ claims hold\.\n$/)
  })
}

t.test('what does not hold ends with exit code 1', async (t) => {
  const script = (act: string): string[] => [
    '--input-type=module',
    '-e',
    `import { check, play, refused } from ${JSON.stringify(story)}\nawait play('Example 0', async () => { ${act} })`,
  ]
  t.match(await play(t, script("check('Two and two are five.', false, '4')")), {
    code: 1,
    output: /NOT as said.\n {2}This does not hold: Two and two are five\.\n {6}Found: 4/,
  })
  t.match(await play(t, script("await refused('Nobody may.', Promise.resolve(1), 'usage')")), {
    code: 1,
    output: /Found: It was not refused/,
  })
})

t.test('an example that is interrupted cleans up', async (t) => {
  let isTold = false
  const { code, output } = await play(t, [`${examples}1-hospital.js`], (line, end) => {
    if (!isTold && line.startsWith('  ok  ')) {
      isTold = true
      end()
    }
  })
  t.equal(code, 130)
  t.match(output, /: interrupted\.\n$/)
})

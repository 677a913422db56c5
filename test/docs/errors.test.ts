import t from 'tap'
import { exitCodes } from '#emrchain/cli/exit-codes.js'
import { type ErrorCode, errors, type Verdict } from '#emrchain/errors.js'
import { statusCodes } from '#emrchain/http/status-codes.js'
import { readDocument } from './markdown.js'

/** docs/errors.md against the catalogue, the statuses and the exit codes, both ways. */

const document = readDocument('docs/errors.md')
const cellsOf = (row: string): string[] =>
  row
    .slice(1, -1)
    .split('|')
    .map((cell) => cell.trim())
const rows = [...document.matchAll(/^\| `.*\|$/gm)].map(([row]) => cellsOf(row))

/** The row of a code as it must be, up to what only a person can write. */
function rowOf(code: ErrorCode): string[] {
  const { sentence, verdict }: { sentence: string; verdict?: Verdict } = errors[code]
  return [`\`${code}\``, sentence, verdict ?? '-', String(statusCodes[code] ?? '-')]
}

t.test('every error is in the document, as the catalogue has it', async (t) => {
  const codes = Object.keys(errors) as ErrorCode[]
  t.ok(codes.length > 80)
  for (const code of codes) {
    const wanted = rowOf(code)
    const found = rows.filter(([first]) => first === wanted[0])
    t.same(
      found.map((cells) => cells.slice(0, 4)),
      [wanted],
      `docs/errors.md has: | ${wanted.join(' | ')} | what to do |`,
    )
  }
})

t.test('the document has no other errors, and says of each what to do', async (t) => {
  for (const cells of rows) {
    const [code = '', , , , advice = ''] = cells
    t.ok(Object.hasOwn(errors, code.replaceAll('`', '')), `${code} is in src/errors.ts`)
    t.equal(cells.length, 5, `${code} has five cells`)
    t.match(advice, /^[A-Z[`].{10,}\.$/, `${code} has advice in sentences`)
  }
})

t.test('every status belongs to an error', async (t) => {
  for (const [code, status] of Object.entries(statusCodes)) {
    t.ok(Object.hasOwn(errors, code), code)
    t.ok(status >= 400 && status <= 599, `${code} has a status of an error`)
  }
})

t.test('the exit codes are those of the command line', async (t) => {
  const documented = [...document.matchAll(/^\| (\d+) \| (.*) \|$/gm)].map(([, code, meaning]) => [
    Number(code),
    meaning,
  ])
  t.same(
    documented,
    Object.values(exitCodes).map(({ code, meaning }) => [code, meaning]),
  )
})

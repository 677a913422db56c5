import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { bytesOf, keystream } from '../fixtures/file-content.js'
import { errorCodeOf, type Ran, runCli } from '../fixtures/run-cli.js'
import { startQuietNode, type TestNode } from '../fixtures/start-node.js'

/** `emrchain files`, `files check`, `pin` and `unpin`, as an operator types them. */

const never = new AbortController().signal
const at = ({ url }: TestNode, ...words: string[]): Promise<Ran> => runCli([...words, '--node', url])

async function addFile({ options, node }: TestNode, name: string): Promise<string> {
  writeFileSync(join(options.fileRoot, name), await bytesOf(keystream(300_000, name)))
  return (await node.createHash({ path: name }, never)).cid.toString()
}

function damage({ options }: TestNode, cid: string): void {
  const path = join(options.data, 'files', `${cid}.car`)
  const bytes = readFileSync(path)
  bytes.writeUInt8(bytes.readUInt8(1_000) ^ 1, 1_000)
  writeFileSync(path, bytes)
}

t.test('files are listed, pinned, unpinned and checked', async (t) => {
  const first = await startQuietNode(t)
  const second = await startQuietNode(t)
  await first.node.connect([second.url])
  t.match(await at(first, 'files'), { code: 0, stdout: 'The node keeps no file.\n' })
  const [scan, report] = [await addFile(first, 'scan.dcm'), await addFile(first, 'rep\u001bort.pdf')]

  const refused = await at(first, 'unpin', scan)
  t.match(refused, { code: 5, stdout: '' })
  t.match(refused.stderr, /--force/)
  t.equal(errorCodeOf(await at(first, 'unpin', scan, '--json')), 'file_last_copy')
  t.match(await at(second, 'pin', scan, report), { code: 0, stdout: /keeps Qm\w+, fetched from a peer\.\n.*fetched/ })

  const table = await at(first, 'files')
  t.equal(table.code, 0)
  t.match(table.stdout, /^CID +STATE +SIZE +COPIES +NAME\n/)
  t.match(table.stdout, new RegExp(`${scan}  pinned  300 kB  ${second.url}  scan\\.dcm\n`))
  t.match(table.stdout, 'rep\\u{1b}ort.pdf')
  const pages: { files: { cid: string }[]; next?: string }[] = []
  for (let next: string | undefined = ''; next !== undefined; next = pages.at(-1)?.next) {
    const { stdout } = await at(first, 'files', '--json', '--limit', '1', ...(next === '' ? [] : ['--after', next]))
    pages.push(JSON.parse(stdout))
  }
  t.strictSame(
    pages.map(({ files }) => files.map(({ cid }) => cid)),
    [scan, report].sort().map((cid) => [cid]),
  )
  t.match(await at(first, 'files', '--limit', '0'), { code: 2 })

  t.match(await at(first, 'unpin', scan), { code: 0, stdout: `${scan} is deleted; kept by ${second.url}.\n` })
  t.match(await at(first, 'unpin', scan), { code: 0, stdout: / was not here; it stays away/ })
  const fetched = await at(first, 'files', '--json')
  t.match(
    JSON.parse(fetched.stdout).files.find(({ cid }: { cid: string }) => cid === scan),
    { state: 'unpinned' },
  )
  t.match(await at(first, 'unpin', report, '--force', '--collect'), {
    code: 0,
    stdout: /deleted 0 blocks that nothing/,
  })
  t.match(await at(first, 'pin', scan, '--json'), { code: 0, stdout: /"fetched":true/ })
  t.match(await at(first, 'pin', 'QmNoCid'), { code: 5, stdout: '', stderr: /malformed_cid/ })
  const half = await at(first, 'pin', scan, 'QmNoCid')
  t.match(half, { code: 5, stdout: `The node keeps ${scan}.\n`, stderr: /malformed_cid/ }, 'what is done is said')
  const halfGone = await at(second, 'unpin', scan, 'QmNoCid', '--json')
  t.match(JSON.parse(halfGone.stdout), { unpinned: [{ cid: scan, wasHere: true }] })
  t.equal(errorCodeOf(halfGone), 'malformed_cid')
  t.match(await at(second, 'pin', scan), { code: 0 })

  damage(first, scan)
  const mended = await at(first, 'files', 'check')
  t.equal(mended.code, 0, mended.stderr)
  t.match(
    mended.stdout,
    new RegExp(`^${scan} was damaged: a whole copy of a peer is in its place; the damaged one is .*damaged\\.\n`),
  )
  t.match(mended.stdout, /Checked 1 file, .*: 0 whole, 1 mended, 0 damaged or missing\.\n$/)
  t.match(await at(first, 'files', 'check', '--json'), { code: 0, stdout: /"whole":1,.*"damage":\[\]/ })

  damage(first, scan)
  await second.close()
  const lost = await at(first, 'files', 'check', '--json')
  t.equal(lost.code, 5, 'the exit code says that something stays damaged')
  t.match(JSON.parse(lost.stdout), { lost: 1, damage: [{ cid: scan, found: 'damaged', mended: false }] })
  t.match(await at(first, 'files'), { stdout: new RegExp(`Did not answer, and may keep copies: ${second.url}\\.`) })

  const { data } = first.options
  t.equal(errorCodeOf(await runCli(['files', 'check', '--data', data, '--json'])), 'data_folder_in_use')
  await first.close()
  const stopped = await runCli(['files', 'check', '--data', data])
  t.equal(stopped.code, 5)
  t.match(stopped.stdout, /was damaged: not mended \(file_damaged\)\.\nChecked 1 file/)
  t.ok(existsSync(join(data, 'files', `${scan}.car`)), 'nothing is changed')
  const whole = await runCli(['files', 'check', '--data', second.options.data, '--json'])
  t.match(whole, { code: 0, stdout: /"whole":2,"mended":0,"lost":0/ })
  t.match(await runCli(['files', 'check', '--data', join(data, 'nope')]), { code: 4, stderr: /path_not_found/ })
})

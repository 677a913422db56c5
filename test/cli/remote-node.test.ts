import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, copyFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { createAuthority } from '../fixtures/certificates.js'
import { folderOf, startNode } from '../fixtures/start-node.js'

/** Commands that ask a node elsewhere: by https, with its token. */

const program = fileURLToPath(new URL('../../bin/emrchain.js', import.meta.url))

t.test('commands ask a node by https and show its token', async (t) => {
  const home = folderOf(t)
  const authority = createAuthority(home)
  // Announced as behind a proxy, so that calls from this machine need the token as those from elsewhere do.
  const { url, node, options } = await startNode(t, { behindProxy: true, ...authority.issue('IP:127.0.0.1') })
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('EMRCHAIN_'))
  async function run(line: string, settings: Readonly<Record<string, string>> = {}) {
    const env = { ...Object.fromEntries(inherited), HOME: home, EMRCHAIN_NODE: url, ...settings }
    const child = spawn(process.execPath, [program, ...line.split(' ')], { cwd: home, env })
    child.stdin.end()
    const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
    return { code, out, err }
  }
  const token = join(options.data, 'token')
  const file = (name: string, contents?: string, mode = 0o600): string => {
    const path = join(home, name)
    if (contents === undefined) copyFileSync(token, path)
    else writeFileSync(path, contents)
    chmodSync(path, mode)
    return name
  }
  file('token')
  file('open', undefined, 0o644)
  file('empty', '')
  file('other', 'ab'.repeat(32))
  file('no.crt', 'no certificate')
  const { ca } = authority
  const stranger = createAuthority(home, 'stranger').ca

  t.match(await run(`mine --ca ${ca} --token-file token`), { code: 0, err: '', out: /^Mined block 2 / })
  const byVariables = { EMRCHAIN_CA: ca, EMRCHAIN_TOKEN_FILE: 'token' }
  t.match(await run('mine', byVariables), { code: 0, err: '', out: /^Mined block 3 / })
  t.match(await run('mine --token-file token', { NODE_EXTRA_CA_CERTS: ca }), { code: 0, out: /^Mined block 4 / })
  t.match(await run('status', { EMRCHAIN_CA: ca }), { code: 0, err: '' }, 'a public call needs no token')

  const remote = url.replace('https', 'http').replace('127.0.0.1', 'node.example')
  const refusals: [line: string, expected: object][] = [
    [`mine --ca ${ca}`, { code: 5, err: /\[token_required\]\n.*--token-file/ }],
    [`mine --ca ${ca} --token-file other`, { code: 5, err: /\[token_required\]/ }],
    [`mine --ca ${ca} --token-file open`, { code: 6, err: /open may be read .*mode 644.*\[token_file_invalid\]/ }],
    [`mine --ca ${ca} --token-file empty`, { code: 6, err: /\[token_file_invalid\]/ }],
    [`mine --ca ${ca} --token-file none`, { code: 6, err: /none cannot be read.*\[token_file_invalid\]/ }],
    [`mine --ca ${ca} --token-file .`, { code: 6, err: /is no file.*\[token_file_invalid\]/ }],
    [`mine --token-file token --node ${remote}`, { code: 2, err: /\[token_in_clear\]/ }],
    ['mine --token-file token', { code: 5, err: /\[node_untrusted\]\n.*--ca/ }],
    [`mine --token-file token --ca ${stranger}`, { code: 5, err: /\[node_untrusted\]/ }],
    [`status --ca ${ca} --node ${url.replace('127.0.0.1', 'localhost')}`, { code: 5, err: /\[node_untrusted\]/ }],
    ['mine --token-file token --ca no.crt', { code: 4, err: /no PEM file.*\[input_unreadable\]/ }],
  ]
  await Promise.all(refusals.map(async ([line, expected]) => t.match(await run(line), { out: '', ...expected }, line)))
  t.equal(node.tip().header.height, 3, 'nothing was mined by those')
})

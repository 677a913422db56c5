import { execFileSync } from 'node:child_process'
import { readdirSync, writeFileSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build, type Plugin } from 'esbuild'
import t from 'tap'

/** What a person does with consent, as a browser gets it. */
const root = fileURLToPath(new URL('../../', import.meta.url))
const namesIn = (folder: string): string[] =>
  readdirSync(join(root, 'dist/client', folder)).filter((name) => name.endsWith('.js'))
const entry = [
  ...['node-client.js', ...namesIn('consent').map((name) => `consent/${name}`)].map(
    (name) => `export * from '#emrchain/client/${name}'`,
  ),
  ...namesIn('person').map((name, at) => `export * as person${at} from '#emrchain/client/person/${name}'`),
]
/** For the test alone: a chain id has to come from somewhere. */
const forTest = "export { cidOf } from '#emrchain/protocol/cid.js'"

/** Who imports which built-in module of Node. */
const asked: string[] = []
const noBuiltins: Plugin = {
  name: 'no-builtins',
  setup({ onResolve, onLoad }) {
    const bare = builtinModules.filter((name) => !name.startsWith('_'))
    onResolve({ filter: new RegExp(`^(node:.*|${bare.join('|').replaceAll('/', '\\/')})$`) }, ({ path, importer }) => {
      asked.push(`${importer.split('node_modules/').at(-1)} ${path}`)
      return { path, namespace: 'builtin' }
    })
    onLoad({ filter: /.*/, namespace: 'builtin' }, ({ path }) => ({
      contents: `throw new Error('This is no Node: ${path}')`,
    }))
  },
}

/** A person's whole way, without a network: keys, a record, a grant, and back. */
const story = `
// Node makes these of browsers when they are first asked for, and needs what is taken away below.
void [globalThis.Response, globalThis.ReadableStream]
const forbidden = ['process', 'Buffer', 'global', 'setImmediate']
const kept = forbidden.map((name) => [name, globalThis[name]])
for (const name of forbidden) delete globalThis[name]
const app = await import('./bundle.mjs')
const chain = app.cidOf(new Uint8Array(1))
const stamp = { chain, at: 1 }
const [patient, doctor] = [true, false].map((isPatient) => app.newConsentKeys({ chain, isPatient }))
const [signer, role] = [app.signerOf(patient), 0]
const one = await app.registerIdentity(stamp, { keys: patient, role })
const two = await app.registerIdentity(stamp, { keys: doctor, role: 2 })
const classKey = one.body.classKeys.find((key) => key.class === 4)
const secrets = app.newRecordSecrets()
const file = Uint8Array.from([0x12, 0x20, ...new Uint8Array(32)])
const consent = { purpose: 512, grant: null, certificate: null, confidentiality: 1, sensitivity: 0 }
const label = { name: 'MRI', fileName: 'MRI.dcm', size: 1 }
const about = { patient: one.id.bytes, secrets, file, classKey, label }
const drafted = await app.draftRecord(stamp, signer.publicKey, { ...about, ...consent })
const node = { id: two.id.bytes, key: app.signerOf(doctor).publicKey }
const receipt = { node: node.id, key: node.key, sig: app.signerOf(doctor).sign(drafted.message) }
const record = app.signRecordDraft(app.addReceipts(drafted.draft, [receipt]), signer, [node])
const shares = await app.sharesOf(patient, [record])
const grantee = { id: two.id.bytes, seal: two.body.seal }
const scope = { roles: 4, actions: 2, purposes: 1, from: 0 }
const parties = { patient: one.id.bytes, certificate: null, grantee }
const grant = await app.grantRecords(stamp, signer, { ...parties, ...scope, shares })
const share = await app.shareByGrant(await app.openGrant(doctor, grant), record)
const opened = app.openRecord(record, share, drafted.deposit)
const asked = []
const ask = async (url, { headers }) => {
  asked.push('signature-input' in headers)
  const refused = { type: 'about:blank', title: '', status: 401, code: 'reader_unsigned' }
  const ok = 'signature' in headers
  return { ok, status: ok ? 200 : 401, body: null, json: async () => (ok ? { pending: [] } : refused) }
}
const pending = await app.createNodeClient('https://node.example', { signer, fetch: ask }).pendingTransactions()
const left = forbidden.filter((name) => name in globalThis)
const isSame = opened.contentKey.every((byte, index) => byte === secrets.contentKey[index])
console.log(JSON.stringify({ left, isSame, label: opened.label, asked, pending }))
// What follows coverage runs when the process ends, and needs them.
for (const [name, value] of kept) globalThis[name] = value
`

t.test('the code of consent runs where there is no Node', async (t) => {
  const dir = t.testdir()
  const { errors, warnings, metafile } = await build({
    stdin: { contents: [...entry, forTest].join('\n'), resolveDir: root },
    outfile: join(dir, 'bundle.mjs'),
    bundle: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    metafile: true,
    logLevel: 'silent',
    plugins: [noBuiltins],
  })
  t.same([errors, warnings], [[], []])
  t.ok(entry.length > 25)
  // Its way out for versions of Node without WebCrypto, which nobody takes who has WebCrypto.
  const known = asked.filter((one) => /^@hpke\/common\/esm\/src\/(algorithm|utils\/misc)\.js crypto$/.test(one))
  t.same(asked, known, 'no module of Node is asked for')
  const size = Object.values(metafile.outputs).reduce((sum, { bytes }) => sum + bytes, 0)
  t.comment(`${size} bytes, not minified`)
  t.ok(size < 2_000_000)

  writeFileSync(join(dir, 'story.mjs'), story)
  const said = execFileSync(process.execPath, [join(dir, 'story.mjs')], { encoding: 'utf8' })
  t.same(JSON.parse(said), {
    left: [],
    isSame: true,
    label: { name: 'MRI', fileName: 'MRI.dcm', size: 1 },
    asked: [false, true],
    pending: [],
  })
})

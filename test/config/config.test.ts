import { writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import t from 'tap'
import { loadConfig, loadNetwork } from '#emrchain/config/load-config.js'
import { NodeOptions, type PartialNodeOptions } from '#emrchain/config/node-config.js'
import type { ErrorCode } from '#emrchain/errors.js'
import { paperNetwork, parseNetworkFile } from '#emrchain/protocol/network-parameters.js'
import { easyNetworkFile } from '../fixtures/block-maker.js'

t.test('without any source the defaults hold', async (t) => {
  t.same(loadConfig({}, {}), {
    port: 5002,
    host: '127.0.0.1',
    behindProxy: false,
    network: 'paper',
    peer: [],
    allowPeer: [],
    mine: false,
    mineInterval: 1_000,
    eraseAfter: 6,
    fileRoot: process.cwd(),
    logLevel: 'info',
    data: resolve('emrchain-data/5002'),
    downloads: resolve('emrchain-data/5002/downloads'),
  })
  t.match(loadConfig({ port: 5003 }, {}), {
    data: resolve('emrchain-data/5003'),
    downloads: resolve('emrchain-data/5003/downloads'),
  })
  t.equal(loadConfig({ data: 'somewhere' }, {}).downloads, resolve('somewhere/downloads'))
})

/** Every option in three sources: what each says, and how the environment writes it. */
const values: Record<
  keyof typeof NodeOptions.properties,
  [flag: unknown, text: string, variable: unknown, file: unknown]
> = {
  port: [6001, '6002', 6002, 6003],
  host: ['127.0.0.1', '127.0.0.2', '127.0.0.2', '::1'],
  tlsCert: ['/flag', '/variable', '/variable', '/file'],
  tlsKey: ['/flag', '/variable', '/variable', '/file'],
  tlsCa: ['/flag', '/variable', '/variable', '/file'],
  behindProxy: [false, 'true', true, true],
  publicUrl: ['https://a.example', 'https://b.example', 'https://b.example', 'http://c.example:1'],
  data: ['/flag', '/variable', '/variable', '/file'],
  network: ['/flag.json', '/variable.json', '/variable.json', '/file.json'],
  ipfs: ['embedded', 'http://127.0.0.1:5001', 'http://127.0.0.1:5001', 'http://127.0.0.1:5009'],
  ipfsCluster: ['http://127.0.0.1:1', 'http://127.0.0.1:2', 'http://127.0.0.1:2', 'http://127.0.0.1:3'],
  peer: [['http://a'], 'http://b,http://c', ['http://b', 'http://c'], ['http://d']],
  allowPeer: [['10.0.0.0/8'], 'b.example,c.example', ['b.example', 'c.example'], ['::2']],
  mine: [false, 'true', true, true],
  mineInterval: [1, '2', 2, 3],
  eraseAfter: [1, '2', 2, 3],
  miningThreads: [1, '2', 2, 3],
  fileRoot: ['/flag', '/variable', '/variable', '/file'],
  downloads: ['/flag', '/variable', '/variable', '/file'],
  logLevel: ['fatal', 'debug', 'debug', 'trace'],
}
/** What an option is not given without. */
const partnerOf: Record<string, Record<string, string>> = {
  tlsCert: { EMRCHAIN_TLS_KEY: '/key' },
  tlsKey: { EMRCHAIN_TLS_CERT: '/cert' },
}
const variableOf = (option: string): string =>
  `EMRCHAIN_${option.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`

t.test('flags win over the environment, the environment over the file, the file over the defaults', async (t) => {
  const path = join(t.testdir(), 'config.json')
  t.same(Object.keys(values).sort(), Object.keys(NodeOptions.properties).sort(), 'every option is here')
  for (const [option, [flag, text, variable, file]] of Object.entries(values)) {
    writeFileSync(path, JSON.stringify({ [option]: file }))
    const flags: PartialNodeOptions = { [option]: flag }
    const environment = { [variableOf(option)]: text }
    const found = (from: PartialNodeOptions, variables: Record<string, string>, config?: string) =>
      Object.entries(loadConfig(from, { ...partnerOf[option], ...variables }, config)).find(
        ([name]) => name === option,
      )?.[1]
    t.same(found({}, {}, path), file, `${option}: the file`)
    t.same(found({}, { EMRCHAIN_CONFIG: path }), file, `${option}: the file that the environment names`)
    t.same(found({}, environment, path), variable, `${option}: the environment`)
    t.same(found(flags, environment, path), flag, `${option}: the flag`)
    t.same(found(flags, {}), flag, `${option}: the flag alone`)
  }
  t.equal(variableOf('miningThreads'), 'EMRCHAIN_MINING_THREADS')
})

t.test('sources are put together option by option; other variables are not looked at', async (t) => {
  const path = join(t.testdir(), 'config.json')
  writeFileSync(path, JSON.stringify({ port: 6003, mine: true, logLevel: 'warn' }))
  const environment = { EMRCHAIN_PORT: '6002', EMRCHAIN_PASSPHRASE: 'secret', PORT: '1', EMRCHAIN_PEER: '' }
  const config = loadConfig({ host: '::1' }, environment, path)
  t.match(config, { host: '::1', port: 6002, mine: true, logLevel: 'warn', peer: [] })
  t.equal(config.data, resolve('emrchain-data/6002'), 'what follows from the port follows from the one that holds')
  t.notMatch(JSON.stringify(config), /secret/)
})

t.test('paths come back absolute', async (t) => {
  const config = loadConfig({ data: 'd', fileRoot: 'f', downloads: 'g', network: 'n.json' }, {})
  t.match(config, {
    data: resolve('d'),
    fileRoot: resolve('f'),
    downloads: resolve('g'),
    network: resolve('n.json'),
  })
})

t.test('errors name the source and the option', async (t) => {
  const folder = t.testdir({
    'config.json': '{"port":"5002"}',
    'unknown.json': '{"prot":5002}',
    'array.json': '[]',
    'broken.json': '{"port":',
  })
  const file = (name: string): string => join(folder, name)
  const bad = (option: object): PartialNodeOptions => option as PartialNodeOptions
  const cases: [what: string, load: () => unknown, message: RegExp][] = [
    ['a flag', () => loadConfig(bad({ port: 65_536 }), {}), /command line.*port/],
    ['a flag of another type', () => loadConfig(bad({ mine: 'yes' }), {}), /command line.*mine/],
    ['an unknown flag', () => loadConfig(bad({ prot: 1 }), {}), /command line.*prot/],
    ['an empty text', () => loadConfig({ data: '' }, {}), /command line.*data/],
    ['a fraction', () => loadConfig({ mineInterval: 0.5 }, {}), /command line.*mineInterval/],
    ['no threads', () => loadConfig({ miningThreads: 0 }, {}), /command line.*miningThreads/],
    [
      'an unknown level',
      () => loadConfig(bad({ logLevel: 'loud' }), {}),
      /command line.*logLevel: must be one of fatal, error, /,
    ],
    ['a variable that is no number', () => loadConfig({}, { EMRCHAIN_PORT: '50O2' }), /environment.*EMRCHAIN_PORT/],
    ['an empty variable', () => loadConfig({}, { EMRCHAIN_PORT: '' }), /environment.*EMRCHAIN_PORT/],
    ['a variable that is no choice', () => loadConfig({}, { EMRCHAIN_MINE: '1' }), /environment.*EMRCHAIN_MINE\b/],
    ['a variable of two words', () => loadConfig({}, { EMRCHAIN_MINE_INTERVAL: 'x' }), /EMRCHAIN_MINE_INTERVAL/],
    ['a file', () => loadConfig({}, {}, file('config.json')), /config\.json.*port/],
    [
      'an unknown option in a file',
      () => loadConfig({}, {}, file('unknown.json')),
      /unknown\.json.*prot: there is no such option/,
    ],
    ['a file of another form', () => loadConfig({}, {}, file('array.json')), /array\.json/],
    ['a file that is not JSON', () => loadConfig({}, {}, file('broken.json')), /broken\.json is not JSON/],
    ['a file that is not there', () => loadConfig({}, {}, file('none.json')), /none\.json cannot be read/],
    [
      'the same by its variable',
      () => loadConfig({}, { EMRCHAIN_CONFIG: file('none.json') }),
      /none\.json cannot be read/,
    ],
    ['all addresses', () => loadConfig({ host: '0.0.0.0' }, {}), /host.*0\.0\.0\.0.*loopback/],
    ['all addresses of IPv6', () => loadConfig({ host: '::' }, {}), /host/],
    ['another machine', () => loadConfig({ host: '192.168.1.2' }, {}), /host/],
    ['a name', () => loadConfig({ host: 'node.example' }, {}), /host/],
    ['an address that only looks like it', () => loadConfig({ host: '127.0.0.1.example' }, {}), /host/],
    ['a way out is told', () => loadConfig({ host: '192.0.2.1' }, {}), /--tls-cert and --tls-key, or --behind-proxy/],
    ['all addresses, no name', () => loadConfig({ host: '0.0.0.0', behindProxy: true }, {}), /--public-url/],
    ['a certificate without its key', () => loadConfig({ tlsCert: 'a' }, {}), /tlsCert, tlsKey/],
    ['a key without its certificate', () => loadConfig({ tlsKey: 'a' }, {}), /tlsCert, tlsKey/],
    ['a public URL of another kind', () => loadConfig({ publicUrl: 'ftp://a.example' }, {}), /publicUrl/],
    ['a public URL with a path', () => loadConfig({ publicUrl: 'https://a.example/b' }, {}), /publicUrl/],
    ['a public URL with a password', () => loadConfig({ publicUrl: 'https://a:b@a.example' }, {}), /publicUrl/],
    ['a network file that is not there', () => loadNetwork(file('none.json')), /none\.json cannot be read/],
  ]
  for (const [what, load, message] of cases) t.throws(load, { code: 'config_invalid', message }, what)
  const beyond = { host: '192.0.2.1', behindProxy: true }
  t.match(loadConfig(beyond, {}), beyond)
  t.match(loadConfig({ host: '192.0.2.1', tlsCert: '/a', tlsKey: '/b' }, {}), { tlsCert: '/a', tlsKey: '/b' })
  for (const host of ['127.0.0.1', '127.1.2.3', 'localhost', '::1']) t.equal(loadConfig({ host }, {}).host, host)
})

t.test('network files', async (t) => {
  t.same(loadNetwork('paper'), parseNetworkFile(paperNetwork))
  const path = join(t.testdir(), 'easy.json')
  writeFileSync(path, JSON.stringify(easyNetworkFile))
  t.match(loadNetwork(path), { name: 'easy', target: 0x207fffff, clearLabels: true })
  const { name: _, ...nameless } = easyNetworkFile
  const fixed = (target: string) => ({ ...easyNetworkFile, difficulty: { rule: 'fixed', target } })
  const bad: [what: string, file: unknown, message: RegExp, code?: ErrorCode][] = [
    ['no object', [], /file/],
    ['no name', nameless, /name/],
    ['a name with a space', { ...easyNetworkFile, name: 'my network' }, /name/],
    ['a field too many', { ...easyNetworkFile, coins: 21 }, /coins/],
    ['a time without a zone', { ...easyNetworkFile, time: '2026-01-01 00:00:00' }, /time/],
    ['a day that is none', { ...easyNetworkFile, time: '2026-13-01T00:00:00.000Z' }, /time/],
    ['a target that is too long', fixed('1f00ffff00'), /target/],
    ['a target of zero', fixed('1f000000'), /target/],
    ['a negative target', fixed('1f800001'), /target/],
    ['a target that is not normalised', fixed('1f0000ff'), /target/],
    ['a rule that is none', { ...easyNetworkFile, difficulty: { rule: 'none', target: '1f00ffff' } }, /rule/],
    ['blocks too small', { ...easyNetworkFile, maxBlockBytes: 100 }, /maxBlockBytes/],
    ['a later version', { ...easyNetworkFile, version: 2 }, /version/, 'unsupported_version'],
  ]
  for (const [what, file, message, code = 'invalid_network'] of bad) {
    writeFileSync(path, JSON.stringify(file))
    t.throws(() => loadNetwork(path), { code, message }, what)
  }
})

import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

/**
 * The import law of docs/architecture.md: what each folder of src/ may import besides itself. Level by
 * level; folders of one level do not import each other. `import type` obeys it too. The schema library is there for all.
 */
const law: Readonly<Record<string, readonly string[]>> = {
  errors: [],
  failpoint: [],
  typebox: [],
  crypto: ['errors'],
  protocol: ['crypto', 'errors'],
  config: ['protocol', 'crypto', 'errors'],
  consensus: ['protocol', 'crypto', 'errors'],
  contract: ['protocol', 'crypto', 'errors'],
  ledger: ['protocol', 'crypto', 'errors', 'failpoint'],
  files: ['protocol', 'crypto', 'errors', 'failpoint'],
  prototype: ['crypto', 'errors'],
  chain: ['consensus', 'contract', 'ledger', 'protocol', 'errors'],
  mempool: ['contract', 'ledger', 'protocol', 'errors'],
  mining: ['consensus', 'protocol', 'crypto', 'errors'],
  network: ['protocol', 'crypto', 'errors'],
  client: ['contract', 'crypto', 'protocol', 'errors'],
  node: [
    'chain',
    'mempool',
    'mining',
    'network',
    'config',
    'consensus',
    'contract',
    'ledger',
    'files',
    'protocol',
    'crypto',
    'errors',
    'failpoint',
  ],
  http: ['node', 'protocol', 'config', 'errors'],
  cli: ['http', 'node', 'client', 'config', 'crypto', 'protocol', 'prototype', 'errors'],
}

const root = fileURLToPath(new URL('../../', import.meta.url))
const src = join(root, 'src')
const files = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts') && !file.endsWith('.d.ts'))
  .sort()

/** Specifiers of all static, dynamic and type imports and re-exports, and of worker files. */
function importsOf(file: string): string[] {
  const text = readFileSync(join(src, file), 'utf8')
  const statements = /^(?:import|export)\b[^'"]*?from\s+'([^']+)'|^import\s+'([^']+)'|\bimport\(\s*'([^']+)'\s*\)/gm
  const workers = /new URL\('(\.[^']+\.js)', import\.meta\.url\)/g
  const found = [...text.matchAll(statements), ...text.matchAll(workers)]
  return found.flatMap((match) => match[1] ?? match[2] ?? match[3] ?? [])
}

/** The file of src/ that a relative specifier of `file` names. */
const target = (file: string, specifier: string): string =>
  normalize(join(dirname(file), specifier)).replace(/\.js$/, '.ts')

const folderOf = (file: string): string => file.split('/')[0]?.replace(/\.ts$/, '') ?? ''
const graph = new Map(
  files.map((file) => [
    file,
    importsOf(file)
      .filter((specifier) => specifier.startsWith('.'))
      .map((specifier) => target(file, specifier)),
  ]),
)

t.test('the scan sees imports', async (t) => {
  t.ok(files.length > 80, 'the files of the project')
  t.ok(graph.get('node/create-node.ts')?.includes('chain/chain.ts'))
  t.ok([...graph.values()].flat().length > 300)
})

t.test('imports go the way that the law allows', async (t) => {
  for (const [file, imports] of graph) {
    const folder = folderOf(file)
    t.ok(law[folder], `${file} is in a folder that the law names`)
    for (const imported of imports) {
      if (relative(src, join(src, imported)).startsWith('..')) t.fail(`${file} imports ${imported}, out of src/`)
      const to = folderOf(imported)
      const allowed = to === folder || to === 'typebox' || law[folder]?.includes(to)
      if (!allowed) t.fail(`${file} imports ${imported}: ${folder} may not import ${to}`)
      if (!graph.has(imported)) t.fail(`${file} imports ${imported}, which is not there`)
    }
  }
})

t.test('no file imports itself round a corner', async (t) => {
  const done = new Set<string>()
  const visit = (file: string, path: readonly string[]): void => {
    if (path.includes(file)) {
      t.fail(`cycle: ${[...path.slice(path.indexOf(file)), file].join(' -> ')}`)
      return
    }
    if (done.has(file)) return
    for (const imported of graph.get(file) ?? []) visit(imported, [...path, file])
    done.add(file)
  }
  for (const file of files) visit(file, [])
})

t.test('only the rim touches the world', async (t) => {
  const isPure = (folder: string) => ['consensus', 'contract', 'protocol', 'client'].includes(folder)
  const reachesOut = new Set(['ledger', 'files', 'network', 'config', 'node', 'http', 'cli', 'mining'])
  for (const file of files) {
    const folder = folderOf(file)
    const builtins = importsOf(file).filter((specifier) => specifier.startsWith('node:'))
    const text = readFileSync(join(src, file), 'utf8')
    const isNodeTwin = file.endsWith('-node.ts')
    if ((isPure(folder) || (folder === 'crypto' && !isNodeTwin)) && builtins.length > 0) {
      t.fail(`${file} needs ${builtins.join(', ')}: ${folder} runs in a browser too`)
    }
    const io = builtins.filter((name) => /^node:(fs|net|http|https|child_process|worker_threads)/.test(name))
    if (io.length > 0 && !reachesOut.has(folder)) t.fail(`${file} does I/O with ${io.join(', ')}`)
    if (folder !== 'config' && folder !== 'cli' && /process\.env\b/.test(text)) t.fail(`${file} reads the environment`)
    if (folder !== 'cli' && /process\.exit\(|console\.\w+\(/.test(text)) t.fail(`${file} prints or exits`)
  }
})

t.test('a node without Kubo does not load its client', async (t) => {
  for (const file of files) {
    if (file.startsWith('files/kubo/')) continue
    const text = readFileSync(join(src, file), 'utf8')
    t.notMatch(text, /^import (?!type )[^'"]*from\s+'(kubo-rpc-client|[^']*\/kubo\/[^']*)'/m, file)
  }
  t.match(readFileSync(join(src, 'files/kubo/create-kubo-file-store.ts'), 'utf8'), /^import .*'kubo-rpc-client'/m)
})

t.test('the schema library has one door', async (t) => {
  const library = /^typebox(\/|$)/
  const doors = files.filter((file) => importsOf(file).some((specifier) => library.test(specifier)))
  t.same(doors, ['typebox.ts'])
  t.match(
    readFileSync(join(src, '../dist/typebox.js'), 'utf8'),
    /Haydn Paterson/,
    'it holds the library and its licence',
  )
})

t.test('files are of a size that can be read', async (t) => {
  for (const file of files) {
    const text = readFileSync(join(src, file), 'utf8')
    t.ok(text.split('\n').length <= 401, `${file} has no more than 400 lines`)
    t.not(file.split('/').at(-1), 'index.ts', `${file} is no barrel`)
  }
})

t.test('the table in docs/architecture.md says the same', async (t) => {
  const text = readFileSync(join(root, 'docs', 'architecture.md'), 'utf8')
  const rows = [...text.matchAll(/^\| \d \| `([a-z]+)` \| ([^|]*) \|/gm)]
  const documented = Object.fromEntries(
    rows.map(([, folder, may]) => [folder, [...(may ?? '').matchAll(/`([a-z]+)`/g)].map((match) => match[1]).sort()]),
  )
  t.same(documented, Object.fromEntries(Object.entries(law).map(([folder, may]) => [folder, [...may].sort()])))
})

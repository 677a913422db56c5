import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import type { Command } from 'commander'
import t from 'tap'
import { createProgram } from '#emrchain/cli/program.js'
import { NodeOptions } from '#emrchain/config/node-config.js'
import { anchorsOf, readDocument, root, withoutFences } from './markdown.js'

/** What the documents name is there: files, headings, scripts, variables, commands and their flags. */

const filesUnder = (folder: string): string[] =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((file) => join(folder, file))
const documents = [
  ...readdirSync(root).filter((file) => file.endsWith('.md')),
  ...filesUnder('docs').filter((file) => file.endsWith('.md')),
  'examples/README.md',
].sort()

t.test('the documents are there', async (t) => {
  const wanted = ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'docs/architecture.md', 'docs/errors.md']
  for (const document of [...wanted, 'docs/operations.md', 'docs/protocol.md'])
    t.ok(documents.includes(document), document)
  t.match(readDocument('LICENSE'), /Apache License\s+Version 2\.0[\s\S]+Copyright 2026 the emrchain authors/)
})

t.test('links lead to files and headings', async (t) => {
  let links = 0
  for (const document of documents) {
    for (const [, target = ''] of withoutFences(readDocument(document)).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(target)) continue
      links++
      const [path = '', anchor] = target.split('#')
      const file = path === '' ? document : relative(root, join(root, dirname(document), path))
      t.ok(!file.startsWith('..') && existsSync(join(root, file)), `${document}: ${target} is there`)
      if (anchor !== undefined && existsSync(join(root, file))) {
        t.ok(anchorsOf(readDocument(file)).includes(anchor), `${document}: ${target} has that heading`)
      }
    }
  }
  t.ok(links > 20)
})

t.test('files that are named in code spans are there', async (t) => {
  const files = /`((?:src|test|docs|scripts|bin|bench|\.ci)\/[^`\s*<>]+)`/g
  for (const document of documents) {
    for (const [, path = ''] of readDocument(document).matchAll(files)) {
      t.ok(existsSync(join(root, path)), `${document}: ${path} is there`)
    }
  }
})

t.test('scripts of npm exist', async (t) => {
  const { scripts }: { scripts: Record<string, string> } = JSON.parse(readDocument('package.json'))
  for (const document of documents) {
    for (const [, script = ''] of readDocument(document).matchAll(/\bnpm run (?:--?\S+ )*([\w:]+)/g)) {
      t.ok(Object.hasOwn(scripts, script), `${document}: npm run ${script}`)
    }
  }
})

t.test('variables are read somewhere', async (t) => {
  const code = [...filesUnder('src'), ...filesUnder('test'), ...filesUnder('.ci')]
    .filter((file) => statSync(join(root, file)).isFile() && !file.startsWith(join('test', 'docs')))
    .map((file) => readFileSync(join(root, file), 'utf8'))
    .join('\n')
  const named = new Set(code.match(/\bEMRCHAIN_[A-Z_]*[A-Z]\b/g))
  for (const option of Object.keys(NodeOptions.properties)) {
    named.add(`EMRCHAIN_${option.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`)
  }
  for (const document of documents) {
    for (const [variable] of readDocument(document).matchAll(/\bEMRCHAIN_[A-Z_]*[A-Z]\b/g)) {
      t.ok(named.has(variable), `${document}: ${variable}`)
    }
  }
  const operations = readDocument('docs/operations.md')
  for (const option of Object.keys(NodeOptions.properties)) {
    const variable = `EMRCHAIN_${option.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`
    const flag = `--${option.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
    const row = `| \`${flag}\` | \`${option}\` | \`${variable}\` |`
    t.ok(operations.includes(row), `docs/operations.md has the row ${row}`)
  }
})

/** Flags of other programs that the documents name. */
const FOREIGN_FLAGS = new Set([
  '--pin-roots',
  '--profile',
  '--empty-repo',
  '--migrate',
  '--consensus',
  '--bootstrap',
  '--check',
  '--write',
  '--version',
  '--max-semi-space-size',
  '--heap-growing-percent',
  '--scavenger-max-new-space-capacity-mb',
  '--single-threaded-gc',
  '--silent',
  '--runs',
  '--records',
  '--report',
  '--quick',
  '--floors',
  '--json',
])

t.test('commands and flags exist', async (t) => {
  // All options of `start` are added only where it is typed.
  const program = await createProgram(['start'])
  const subcommand = (command: Command, name: string | undefined) =>
    command.commands.find((candidate) => candidate.name() === name)
  const flagsOf = (command: Command): string[] =>
    command.options.flatMap(({ long, short }) => [long ?? [], short ?? []].flat())
  const all = (command: Command): string[] => [...flagsOf(command), ...command.commands.flatMap(all)]
  const known = new Set([...all(program), '--help', '-h', ...FOREIGN_FLAGS])

  let commands = 0
  for (const document of documents) {
    const text = readDocument(document)
    for (const [flag] of text.matchAll(/(?<![\w-])--[a-z][a-z-]*/g)) {
      t.ok(known.has(flag), `${document}: ${flag} is a flag of a command`)
    }
    // Behind `$`, `npx` or a backtick "emrchain" is typed, else it is spoken of.
    for (const [line, words = ''] of text.matchAll(/(?:npx |`|^\$ )emrchain +([^`\n#|]+)/gm)) {
      const typed = words.trim().split(/\s+/)
      let command = program
      for (let next = subcommand(command, typed[0]); next; next = subcommand(command, typed[0])) {
        command = next
        typed.shift()
      }
      const [first] = words.trim().split(/\s+/)
      t.ok(command !== program || first?.startsWith('-') || first === 'help', `${document}: ${line} is a command`)
      const own = new Set([...flagsOf(command), ...flagsOf(program), '--help', '-h'])
      for (const flag of typed.filter((word) => /^--?[a-z]/.test(word)))
        t.ok(own.has(flag), `${document}: ${line}: ${flag}`)
      commands++
    }
  }
  t.ok(commands > 10)
})

t.test('nothing is left to be filled in, and no machine is named', async (t) => {
  for (const document of documents) {
    const text = readDocument(document)
    t.notMatch(text, /\b(TODO|TBD|FIXME|XXX|lorem ipsum|coming soon|fill in)\b/i, document)
    t.notMatch(text, /(?<![\w.:/~-])\/(work|home|root|Users|tmp|mnt|opt)\//, `${document} names no path of a machine`)
    t.notMatch(text, /[ \t]+$/m, `${document} has no blanks at the ends of lines`)
    t.match(text, /[^\n]\n$/, `${document} ends with one line end`)
  }
})

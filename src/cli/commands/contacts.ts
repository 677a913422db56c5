import type { Command } from 'commander'
import { addExamples } from '../examples.js'
import { globalsOf } from '../globals.js'
import { print } from '../output.js'
import { counted, printable } from '../text.js'

/** `emrchain contacts`: names for ids, on this machine only. */
export function registerContacts(program: Command): void {
  const group = program.command('contacts').description('names of your own for ids; they never leave this machine')

  const add = group
    .command('add')
    .argument('<name>', 'what you call them')
    .argument('<id>', 'id of a person, organisation or node')
    .description('give an id a name')
    .option('--force', 'also if the name stands for another id so far')
    .action(async (name: string, id: string, { force }: { force?: true }, self: Command) => {
      const { contactsOf, readContacts, writeContacts } = await import('../consent/contacts-file.js')
      const { EmrError } = await import('../../errors.js')
      const { wallet, ...globals } = globalsOf(self)
      const { entries } = await readContacts(wallet)
      if (!/^[^\p{Cc}\p{Cf}]{1,100}$/u.test(name)) throw new EmrError('usage', 'A name has 1 to 100 characters.')
      const parsed = contactsOf(new Map()).idOf(id)
      const known = entries.get(name)
      if (known !== undefined && known !== parsed && !force)
        throw new EmrError('contact_exists', `${name} is ${known}.`)
      await writeContacts(wallet, new Map([...entries, [name, parsed]]))
      await print(globals, { document: { name, id: parsed }, text: `${name} is ${parsed}.` })
    })
  addExamples(add, [['contacts add "Dr. Grey" bafyrei...', 'then: emrchain grant "Dr. Grey" ...']])

  group
    .command('list')
    .description('show all names')
    .action(async (_flags: object, self: Command) => {
      const { readContacts } = await import('../consent/contacts-file.js')
      const { wallet, ...globals } = globalsOf(self)
      const contacts = [...(await readContacts(wallet)).entries].map(([name, id]) => ({ name, id }))
      const lines = contacts.map(({ name, id }) => `${id}  ${printable(name)}`)
      await print(globals, { document: { contacts }, text: lines.join('\n') || 'There are no contacts yet.' })
    })

  group
    .command('remove')
    .argument('<name>', 'what you called them')
    .description('forget a name')
    .action(async (name: string, _flags: object, self: Command) => {
      const { readContacts, writeContacts } = await import('../consent/contacts-file.js')
      const { EmrError } = await import('../../errors.js')
      const { wallet, ...globals } = globalsOf(self)
      const { entries } = await readContacts(wallet)
      if (!entries.has(name)) throw new EmrError('contact_unknown', name)
      const left = new Map([...entries].filter(([known]) => known !== name))
      await writeContacts(wallet, left)
      await print(globals, { document: { removed: name }, text: `${counted(left.size, 'contact')} left.` })
    })
}

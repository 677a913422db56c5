/**
 * Run as a process of its own: node check-database.js FOLDER walk|values
 *
 * Reads a database that was not closed in order. LMDB ends the process that meets impossible pages;
 * better this one than the node. Exit code 0: `walk` went through every page of the tree, `values`
 * also found every value to match its check.
 */
import { unsealValue } from './checked-value.js'
import { openPages } from './pages.js'

const [, , folder, depth] = process.argv
if (!folder) throw new Error('usage: check-database FOLDER walk|values')

const pages = openPages(folder, { readOnly: true })
if (depth === 'values') {
  for (const { key, value } of pages.getRange({})) {
    if (!unsealValue(key, value)) throw new Error('a value does not match its check')
  }
} else pages.getCount({})
await pages.close()

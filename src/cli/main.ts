import { collectBuffersEarly } from './buffer-collection.js'
import { endWithReader } from './output.js'
import { runCommandLine } from './run-command-line.js'

collectBuffersEarly()
endWithReader()
await runCommandLine(process.argv.slice(2))

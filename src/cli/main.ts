import { endWithReader } from './output.js'
import { runCommandLine } from './run-command-line.js'

endWithReader()
await runCommandLine(process.argv.slice(2))

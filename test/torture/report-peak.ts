/**
 * Loaded before a program (`node --import`): writes the most memory that the process held, in KiB, to the
 * file EMRCHAIN_PEAK_FILE when it ends.
 */
import { writeFileSync } from 'node:fs'

const path = process.env.EMRCHAIN_PEAK_FILE
if (path) process.once('exit', () => writeFileSync(path, String(process.resourceUsage().maxRSS)))

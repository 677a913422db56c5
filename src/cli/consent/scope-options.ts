import type { Command } from 'commander'
import { collect } from '../collect.js'

/** What and how long, as the commands take it. */
export interface ScopeFlags {
  readonly record?: string[]
  readonly class?: string[]
  readonly for?: string[]
  readonly may?: string[]
  readonly from?: string
  readonly until?: string
  readonly uses?: string
  readonly confidentiality: string
  readonly sensitive?: string[]
}

/** The options of a scope, with what holds where they are left out. */
export const addScopeOptions = (command: Command): Command =>
  command
    .option('--record <id>', 'these records; more than once', collect)
    .option('--class <class>', 'or all of a class: lab, imaging, ..., all; more than once, or with commas', collect)
    .option('--for <purpose>', 'TREAT, HPAYMT, HRESCH, ...; default: TREAT', collect)
    .option('--may <action>', 'LIST, READ, DOWNLOAD, APPEND, ...; default: LIST,READ,DOWNLOAD', collect)
    .option('--from <time>', 'from this date on; default: now')
    .option('--until <time>', 'up to this date, or so long from now (90d, 4h); "ever" for no end; default: 90d')
    .option('--uses <n>', 'so many accesses; default: any number')
    .option('--confidentiality <level>', 'most confidential: low, normal, restricted, very_restricted', 'normal')
    .option('--sensitive <matter>', 'also PSY, HIV, SDV, ETH; more than once', collect)

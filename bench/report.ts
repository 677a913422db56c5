import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Plot } from './figures.js'
import { plotToSvg } from './plot-svg.js'

/**
 * Writes report.json, with all that was measured, and a picture of each plot beside it. The folder is made if it is not there.
 *
 * @throws Error when two plots have one name, or one is no name of a file; the figures are written by then
 */
export function writeReport(folder: string, measured: { readonly plots: readonly Plot[] }): void {
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'report.json'), `${JSON.stringify(measured, null, 2)}\n`)
  const names = new Set<string>()
  for (const plot of measured.plots) {
    if (!/^[a-z0-9-]+$/.test(plot.name) || names.has(plot.name)) throw new Error(`Not a name for a plot: ${plot.name}`)
    names.add(plot.name)
    writeFileSync(join(folder, `${plot.name}.svg`), plotToSvg(plot))
  }
}

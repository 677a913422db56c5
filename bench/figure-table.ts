import type { Figure } from './figures.js'

const number = new Intl.NumberFormat('en', { maximumSignificantDigits: 4 })
const columns = ['median', 'least', 'most'] as const

/** Figures as lines of text, under the name of their benchmark. */
export function figureTable(name: string, figures: readonly Figure[]): string {
  const rows = [
    [name, ...columns, 'unit', 'runs'],
    ...figures.map((figure) => [
      figure.what,
      ...columns.map((column) => number.format(figure[column])),
      figure.unit,
      String(figure.runs),
    ]),
  ]
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)))
  const isText = (column: number): boolean => column === 0 || column === 4
  return rows
    .map((row) =>
      row
        .map((cell, column) => (isText(column) ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

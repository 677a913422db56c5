import type { Plot } from './figures.js'
import { linearScale, logarithmicScale, type Scale } from './plot-scale.js'

const [WIDTH, HEIGHT] = [760, 420] as const
const [LEFT, RIGHT, TOP, BOTTOM] = [78, 34, 52, 60] as const
const LEGEND_LINE = 22
/** Height of the line that says where it was measured. */
const SOURCE_LINE = 24
/** Width of a letter of the legend, near enough to break its lines. */
const LETTER = 7.2
/** Series with more points than this are lines without marks. */
const MARKED = 40

/** Colours that people who see few of them tell apart (Okabe and Ito), on white and on near black; dashes help in print. */
const looks = [
  { light: '#0072b2', dark: '#56b4e9', dash: '' },
  { light: '#d55e00', dark: '#e69f00', dash: '7 4' },
  { light: '#007a5a', dark: '#00c896', dash: '2 3' },
  { light: '#a8508a', dark: '#e08fc4', dash: '10 3 2 3' },
  { light: '#555555', dark: '#c8c8c8', dash: '4 2' },
  { light: '#8a6d00', dark: '#f0e442', dash: '1 4' },
] as const

/**
 * A plot as SVG that needs nothing else. It brings its own ground, a dark one where the reader prefers that, so it can
 * be read on any page. A thin line through a mark reaches from the least run to the most. Points that a logarithmic axis cannot show are left out, and the legend says how many.
 */
export function plotToSvg(plot: Plot): string {
  const canShow = ({ x, y }: { x: number; y: number }): boolean =>
    Number.isFinite(x) && Number.isFinite(y) && (!plot.x.isLogarithmic || x > 0) && (!plot.y.isLogarithmic || y > 0)
  const series = plot.series.map(({ name, points }) => {
    const shown = points.filter(canShow).sort((one, other) => one.x - other.x)
    const hidden = points.length - shown.length
    return { name: hidden > 0 ? `${name} (${hidden} not shown)` : name, points: shown }
  })
  const all = series.flatMap(({ points }) => points)
  const x = scaleOf(
    all.map((point) => point.x),
    plot.x.isLogarithmic,
    false,
  )
  const y = scaleOf(
    // Of runs that are no number on this axis the median is shown alone.
    all.flatMap(({ y, least = y, most = y }) => (plot.y.isLogarithmic && least <= 0 ? [y] : [y, least, most])),
    plot.y.isLogarithmic,
    true,
  )
  const legend = legendPlaces(series.map(({ name }) => name))
  const height = HEIGHT + legend.height + (plot.source === undefined ? 0 : SOURCE_LINE)
  const right = (value: number): string => (LEFT + x.at(value) * (WIDTH - LEFT - RIGHT)).toFixed(1)
  const down = (value: number): string => (HEIGHT - BOTTOM - y.at(value) * (HEIGHT - BOTTOM - TOP)).toFixed(1)
  const id = `plot-${plot.name}`

  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-labelledby="${id}" font-family="system-ui, 'DejaVu Sans', Arial, sans-serif" font-size="13">`,
    `<title id="${id}">${escaped(plot.title)}</title>`,
    styles(series.length),
    `<rect class="ground" width="${WIDTH}" height="${height}" rx="6"/>`,
    `<text class="text" x="${WIDTH / 2}" y="30" text-anchor="middle" font-size="16" font-weight="600">${escaped(plot.title)}</text>`,
    ...x.ticks.map((tick) => `<path class="grid" d="M${right(tick)} ${TOP}V${HEIGHT - BOTTOM}"/>`),
    ...y.ticks.map((tick) => `<path class="grid" d="M${LEFT} ${down(tick)}H${WIDTH - RIGHT}"/>`),
    `<path class="axis" d="M${LEFT} ${TOP}V${HEIGHT - BOTTOM}H${WIDTH - RIGHT}"/>`,
    ...x.ticks.map(
      (tick) =>
        `<text class="text" x="${right(tick)}" y="${HEIGHT - BOTTOM + 18}" text-anchor="middle">${numberText(tick)}</text>`,
    ),
    ...y.ticks.map(
      (tick) =>
        `<text class="text" x="${LEFT - 8}" y="${down(tick)}" dy="0.35em" text-anchor="end">${numberText(tick)}</text>`,
    ),
    `<text class="text" x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 18}" text-anchor="middle">${escaped(plot.x.label)}</text>`,
    `<text class="text" transform="translate(18 ${(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" text-anchor="middle">${escaped(plot.y.label)}</text>`,
    ...series.flatMap(({ points }, at) => {
      const places = points.map((point) => `${right(point.x)} ${down(point.y)}`)
      const marks = points.length > MARKED ? [] : points
      return [
        ...(places.length > 1 ? [`<path class="line s${at}" d="M${places.join('L')}"/>`] : []),
        ...marks.flatMap(({ x, y, least = y, most = y }) =>
          least < most && (!plot.y.isLogarithmic || least > 0)
            ? [`<path class="range s${at}" d="M${right(x)} ${down(least)}V${down(most)}"/>`]
            : [],
        ),
        ...marks.map((point) => `<circle class="mark s${at}" cx="${right(point.x)}" cy="${down(point.y)}" r="3.5"/>`),
      ]
    }),
    ...series.flatMap(({ name, points }, at) => {
      const place = legend.places[at]
      if (!place) return []
      const [left, middle] = [place.left, HEIGHT + place.line * LEGEND_LINE + 4]
      return [
        `<path class="line s${at}" d="M${left} ${middle}h28"/>`,
        ...(points.length > MARKED ? [] : [`<circle class="mark s${at}" cx="${left + 14}" cy="${middle}" r="3.5"/>`]),
        `<text class="text" x="${left + 36}" y="${middle}" dy="0.35em">${escaped(name)}</text>`,
      ]
    }),
    ...(plot.source === undefined
      ? []
      : [`<text class="text" x="18" y="${height - 12}" font-size="10" opacity="0.7">${escaped(plot.source)}</text>`]),
    '</svg>',
  ].join('\n')}\n`
}

function scaleOf(values: readonly number[], isLogarithmic: boolean | undefined, fromZero: boolean): Scale {
  if (isLogarithmic) return logarithmicScale(values.length > 0 ? values : [1, 10])
  return linearScale(values.length > 0 ? values : [0, 1], fromZero)
}

function styles(count: number): string {
  const look = (at: number) => looks[at % looks.length] ?? looks[0]
  const rules = (theme: 'light' | 'dark'): string =>
    Array.from(
      { length: count },
      (_, at) => `.line.s${at},.range.s${at}{stroke:${look(at)[theme]}}.mark.s${at}{fill:${look(at)[theme]}}`,
    ).join('')
  const dashes = Array.from({ length: count }, (_, at) => `.line.s${at}{stroke-dasharray:${look(at).dash || 'none'}}`)
  return [
    '<style>.line{fill:none;stroke-width:2;stroke-linejoin:round}.range{fill:none;stroke-width:1.5;opacity:0.6}.axis{fill:none;stroke:#777}.grid{fill:none;stroke:#8884}',
    `.ground{fill:#ffffff}.text{fill:#1f2328}${rules('light')}${dashes.join('')}`,
    `@media (prefers-color-scheme:dark){.ground{fill:#0d1117}.text{fill:#e6edf3}${rules('dark')}}</style>`,
  ].join('')
}

/** Where each name of the legend stands, in lines that are broken between names. */
function legendPlaces(names: readonly string[]): { places: { left: number; line: number }[]; height: number } {
  const places: { left: number; line: number }[] = []
  let [left, line] = [LEFT as number, 0]
  for (const name of names) {
    const width = 36 + name.length * LETTER + 20
    if (left > LEFT && left + width > WIDTH) [left, line] = [LEFT, line + 1]
    places.push({ left, line })
    left += width
  }
  return { places, height: (line + 1) * LEGEND_LINE }
}

const compact = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 2 })
const exact = new Intl.NumberFormat('en', { maximumSignificantDigits: 6 })
const numberText = (value: number): string => (Math.abs(value) >= 1_000_000 ? compact : exact).format(value)

const escaped = (text: string): string => text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;')

import t from 'tap'
import type { Plot } from '../../bench/figures.js'
import { plotToSvg } from '../../bench/plot-svg.js'

const growth: Plot = {
  name: 'growth-lookups',
  title: 'Looking a record up, p50',
  x: { label: 'records on the chain', isLogarithmic: true },
  y: { label: 'server time (ms)' },
  source: '3 runs, Node <20>',
  series: [
    {
      name: 'by id',
      points: [
        { x: 1_000_000, y: 3, least: 2, most: 4 },
        { x: 1_000, y: 1, least: 1, most: 1 },
      ],
    },
  ],
}
const texts = (svg: string): string[] => [...svg.matchAll(/<text [^>]*>([^<]*)<\/text>/g)].map(([, text = '']) => text)

t.test('axes have labels and numbers, and the source stands beneath', async (t) => {
  t.strictSame(texts(plotToSvg(growth)), [
    'Looking a record up, p50',
    ...['1,000', '2,000', '5,000', '10,000', '20,000', '50,000', '100,000', '200,000', '500,000', '1M'],
    ...['0', '1', '2', '3', '4'],
    ...['records on the chain', 'server time (ms)', 'by id', '3 runs, Node &lt;20&gt;'],
  ])
})

t.test('a mark has a line from the least run to the most, where they differ', async (t) => {
  const ranges = [...plotToSvg(growth).matchAll(/class="range s0" d="M(\S+) (\S+)V(\S+)"/g)].map(([, ...at]) => at)
  // The plot reaches from 52 (4 ms) to 360 (0 ms), and to 726 on the right.
  t.strictSame(ranges, [['726.0', '206.0', '52.0']])
})

t.test('a logarithmic axis leaves out what it cannot show, and says so', async (t) => {
  const points = [
    { x: 1, y: 0 },
    { x: 2, y: 5, least: 0, most: 10 },
  ]
  const svg = plotToSvg({ ...growth, y: { label: 'ms', isLogarithmic: true }, series: [{ name: 'a', points }] })
  t.ok(texts(svg).includes('a (1 not shown)'))
  t.notMatch(svg, /NaN|Infinity/)
  t.notMatch(svg, /<path class="range/)
})

t.test('many points are a line without marks, in the legend too', async (t) => {
  const points = Array.from({ length: 41 }, (_, x) => ({ x, y: x }))
  const { source: _, ...without } = growth
  const svg = plotToSvg({ ...without, x: { label: 'x' }, series: [{ name: 'a', points }] })
  t.notMatch(svg, /<circle/)
  t.match(svg, /<path class="line s0"/)
})

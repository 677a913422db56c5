/**
 * Answers as a document prints them, shortened, against real ones: `...` stands for anything. In a string or a
 * line it stands for any text, as a line of its own for any lines, in JSON for any value, and at the end of an
 * object or array for any more members.
 */

/** What `...` becomes in a JSON sample, as a value or as the key of a member. */
const ANYTHING = '\u2026'

/** Where a real answer differs from its sample; undefined where it does not. */
export const differenceFromSample = (
  { language, text }: { language: string; text: string },
  answer: string,
): string | undefined => {
  if (language === 'text') return textDifference(text, answer)
  if (language !== 'json') return `there are no answers in "${language}"`
  try {
    return jsonDifference(parseSample(text), JSON.parse(answer), 'answer')
  } catch (error) {
    return `${error instanceof Error ? error.message : error}, in: ${answer}`
  }
}

function textDifference(sample: string, answer: string): string | undefined {
  const oneSpace = (text: string) => text.trimEnd().replace(/[ \t]+/g, ' ')
  const lines = oneSpace(sample)
    .split('\n')
    .map((line) => (line === '...' ? '(?:.*\\n)*' : `${wildcards(line, '.*')}\\n`))
  const fits = new RegExp(`^${lines.join('')}$`).test(`${oneSpace(answer)}\n`)
  return fits ? undefined : `the answer is\n${answer}`
}

const wildcards = (text: string, any: string): string =>
  text
    .split('...')
    .map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'))
    .join(any)

/** Parses a JSON sample with `ANYTHING` for each `...` outside of strings. */
function parseSample(text: string): unknown {
  const open: string[] = []
  let before = ''
  let json = ''
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|\.\.\.|[{}[\],:]|[^\s"{}[\],:]+/g)) {
    if (token === '...') {
      const isMember = open.at(-1) === '{' && (before === '{' || before === ',')
      json += isMember ? `"${ANYTHING}":null` : `"${ANYTHING}"`
    } else {
      json += token
      if (token === '{' || token === '[') open.push(token)
      if (token === '}' || token === ']') open.pop()
    }
    before = token
  }
  return JSON.parse(json)
}

function jsonDifference(sample: unknown, actual: unknown, at: string): string | undefined {
  if (sample === ANYTHING) return undefined
  if (Array.isArray(sample)) {
    if (!Array.isArray(actual)) return `${at} is no array`
    const isOpen = sample.at(-1) === ANYTHING
    const wanted = isOpen ? sample.slice(0, -1) : sample
    const fits = isOpen ? actual.length >= wanted.length : actual.length === wanted.length
    if (!fits) return `${at} has ${actual.length} elements`
    return first(wanted.map((element, index) => jsonDifference(element, actual[index], `${at}[${index}]`)))
  }
  if (isObject(sample)) {
    if (!isObject(actual)) return `${at} is no object`
    const wanted = Object.entries(sample).filter(([key]) => key !== ANYTHING)
    const extra = Object.keys(actual).filter((key) => !Object.hasOwn(sample, key))
    if (extra.length > 0 && !Object.hasOwn(sample, ANYTHING)) return `${at} also has ${extra.join(', ')}`
    return first(
      wanted.map(([key, value]) =>
        Object.hasOwn(actual, key) ? jsonDifference(value, actual[key], `${at}.${key}`) : `${at} has no ${key}`,
      ),
    )
  }
  const fits =
    typeof sample === 'string' && typeof actual === 'string'
      ? new RegExp(`^${wildcards(sample, '[\\s\\S]*')}$`).test(actual)
      : sample === actual
  return fits ? undefined : `${at} is ${JSON.stringify(actual)}`
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null
const first = (differences: readonly (string | undefined)[]): string | undefined =>
  differences.find((difference) => difference !== undefined)

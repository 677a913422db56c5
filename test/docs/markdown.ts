/** What tests read out of the project's documents. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('../../', import.meta.url))
export const readDocument = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')

/** A fenced block, and the prose between it and the one before. */
export interface FencedBlock {
  readonly language: string
  readonly text: string
  readonly proseBefore: string
}

/** The fenced blocks of a document or a part of it, in order. */
export function fencedBlocks(markdown: string): FencedBlock[] {
  let end = 0
  return [...markdown.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].map((match) => {
    const proseBefore = markdown.slice(end, match.index)
    end = match.index + match[0].length
    return { language: match[1] ?? '', text: match[2] ?? '', proseBefore }
  })
}

/** The part under a heading of the second level, up to the next one. */
export function sectionOf(markdown: string, heading: string): string {
  const sections = markdown.split(/^## /m)
  const found = sections.find((section) => section.startsWith(`${heading}\n`))
  if (found === undefined) throw new Error(`There is no section "${heading}".`)
  return found
}

/** Documents without their fenced blocks: prose, tables and code spans. */
export const withoutFences = (markdown: string): string => markdown.replace(/^```\w*\n[\s\S]*?^```$/gm, '')

/** The names by which GitHub links to the headings of a document. */
export const anchorsOf = (markdown: string): string[] =>
  [...withoutFences(markdown).matchAll(/^#{1,6} (.+)$/gm)].map(([, heading]) =>
    (heading ?? '')
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replace(/ /g, '-'),
  )

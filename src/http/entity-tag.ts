/** Whether an `If-None-Match` names this entity tag, compared weakly (RFC 9110, section 13.1.2). */
export function namesTag(ifNoneMatch: string | undefined, tag: string): boolean {
  if (ifNoneMatch?.trim() === '*') return true
  const named: readonly string[] = ifNoneMatch?.match(/"[^"]*"/g) ?? []
  return named.includes(tag.replace(/^W\//, ''))
}

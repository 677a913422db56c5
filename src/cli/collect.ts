/** For options that can be given more than once: each value behind those before it. */
export const collect = (value: string, before: readonly string[] | undefined): string[] => [...(before ?? []), value]

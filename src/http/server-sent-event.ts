/** One event of a stream `text/event-stream` (HTML Living Standard, 9.2 Server-sent events), its data as JSON. */
export const serverSentEvent = (event: string, facts: object): string =>
  `event: ${event}\ndata: ${JSON.stringify(facts)}\n\n`

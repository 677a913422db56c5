/** The names under which a server answers. */
export interface OwnNames {
  /** Its URL on this machine or network. */
  readonly url: string
  /** The URL that others are told. */
  readonly advertised: string
  /** Values of Host that name it. */
  readonly hosts: ReadonlySet<string>
  /** Origins of its own pages. */
  readonly origins: ReadonlySet<string>
}

/**
 * What a server that listens at `host` and `port` is called. Whoever calls the usual port of a scheme leaves it out
 * of Host and Origin, so both spellings of Host name the server.
 *
 * @param publicUrl where a proxy, or another name, leads to it
 */
export function ownNames(scheme: 'http' | 'https', host: string, port: number, publicUrl?: string): OwnNames {
  const bracketed = host.includes(':') ? `[${host}]` : host
  const names = [bracketed, '127.0.0.1', 'localhost', '[::1]']
  const local = names.map((name) => new URL(`${scheme}://${name}:${port}`))
  const [first] = local
  const advertised = publicUrl === undefined ? first : new URL(publicUrl)
  if (!first || !advertised) throw new Error('A server has a name.')
  const all = [...local, advertised]
  const spelled = names.map((name) => `${name.toLowerCase()}:${port}`)
  return {
    url: first.origin,
    advertised: advertised.origin,
    hosts: new Set([...spelled, ...all.map((url) => url.host), `${advertised.hostname}:${portOf(advertised)}`]),
    origins: new Set(all.map(({ origin }) => origin)),
  }
}

const portOf = ({ port, protocol }: URL): string => port || (protocol === 'https:' ? '443' : '80')

/**
 * The URL that the sender of a request called. Host does not tell the scheme, on which it depends whether a port
 * belongs to the signed authority (RFC 9421, section 2.2.3).
 */
export function calledUrl(host: string, target: string, origins: ReadonlySet<string>): string {
  const secure = URL.canParse(`https://${host}`) && origins.has(new URL(`https://${host}`).origin)
  return `${secure ? 'https' : 'http'}://${host}${target}`
}

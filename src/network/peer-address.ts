import { EmrError } from '../errors.js'

/**
 * The address of a node as it is kept: scheme, host and port, no path.
 *
 * @throws EmrError `peer_bad_address` for anything but an http or https URL of a server
 */
export function parsePeerAddress(text: string): string {
  let url: URL
  try {
    url = new URL(text)
  } catch {
    throw new EmrError('peer_bad_address')
  }
  const plain =
    url.pathname === '/' && url.search === '' && url.hash === '' && url.username === '' && url.password === ''
  if ((url.protocol !== 'http:' && url.protocol !== 'https:') || !plain || url.hostname === '') {
    throw new EmrError('peer_bad_address')
  }
  return url.origin
}

/** `host:port` of an address, as the paper's `total_nodes` lists nodes. */
export function hostAndPort(address: string): string {
  const url = new URL(address)
  return `${url.hostname}:${url.port || (url.protocol === 'https:' ? '443' : '80')}`
}

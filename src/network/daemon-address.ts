import { BlockList, isIP } from 'node:net'

/** Where an IPFS daemon may be dialled: an IP address with TCP or QUIC. */
export interface DaemonAddress {
  /** The multiaddress without a peer id. */
  readonly text: string
  readonly ip: string
}

const FORM = /^\/(ip4|ip6)\/([0-9a-fA-F.:]{2,45})\/(?:tcp\/(\d{1,5})|udp\/(\d{1,5})\/quic-v1)$/

/**
 * Reads a multiaddress (github.com/multiformats/multiaddr) of the two forms that are dialled for peers. Names, relays and all
 * other forms are undefined: only an address that says where the connection will go can be judged beforehand.
 */
export function readDaemonAddress(text: string): DaemonAddress | undefined {
  const [, family, ip = '', tcp, udp] = FORM.exec(text) ?? []
  const port = Number(tcp ?? udp)
  if (!family || isIP(ip) !== Number(family.slice(2)) || port < 1 || port > 65_535) return undefined
  return { text, ip }
}

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8, 'ipv4')
loopback.addAddress('::1', 'ipv6')

/** Whether an IP address, or the host of a URL, is this machine itself. */
export function isLoopback(host: string): boolean {
  const bare = host.replace(/^\[(.*)\]$/, '$1')
  if (isIP(bare) === 0) return bare === 'localhost'
  return loopback.check(bare, isIP(bare) === 6 ? 'ipv6' : 'ipv4')
}

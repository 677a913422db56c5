import { BlockList, isIP } from 'node:net'
import { EmrError } from '../errors.js'

/** What a node may call without being told: this machine. */
export const DEFAULT_ALLOWED = ['127.0.0.0/8', '::1', 'localhost'] as const

/** Which addresses this node may call. Names are judged by name first, and then by every address they resolve to. */
export interface AddressPolicy {
  /** Whether a host of a URL, a name or an IP address, may be tried at all. */
  allowsHost(host: string): boolean
  /** Whether a connection to this IP address may be made for a host that is allowed. */
  allowsAddress(ip: string, host: string): boolean
}

/** No node lives there, whatever a name resolves to: this-network, link-local (cloud metadata too), multicast, reserved. */
const NEVER = ['0.0.0.0/8', '169.254.0.0/16', '224.0.0.0/3', '::', 'fe80::/10', 'ff00::/8']
/** IPv4 in the clothes of IPv6: an address has one spelling here. */
const MAPPED = ['::ffff:0:0/96', '64:ff9b::/96', '2002::/16']

/**
 * @param allowed IP addresses, ranges (CIDR) and host names. A name that is listed may stand for any address but
 * those where no node can be; `localhost` stands for loopback alone
 * @throws EmrError `config_invalid`
 */
export function createAddressPolicy(allowed: readonly string[]): AddressPolicy {
  const names = new Set(allowed.filter((entry) => !isRange(entry)).map(nameOf))
  const ranges = listOf(allowed.filter(isRange))
  const never = listOf(NEVER)
  const mapped = listOf(MAPPED)

  // A BlockList takes IPv4 addresses for mapped ones; only what is written as IPv6 is meant here.
  const isMapped = (ip: string): boolean => isIP(ip) === 6 && matches(mapped, ip)
  const inRanges = (ip: string): boolean => !isMapped(ip) && matches(ranges, ip)
  return {
    allowsHost: (text) => {
      const host = bare(text)
      return isIP(host) ? inRanges(host) : names.has(host)
    },
    allowsAddress(ip, text) {
      const host = bare(text)
      if (inRanges(ip)) return true
      const trusted = !isIP(host) && host !== 'localhost' && names.has(host)
      return trusted && !isMapped(ip) && !matches(never, ip)
    },
  }
}

/** A host of a URL without the brackets of IPv6, in lower case, without the root's dot. */
const bare = (host: string): string =>
  host
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/\.$/, '')
    .toLowerCase()

const isRange = (entry: string): boolean => isIP(entry.replace(/\/\d{1,3}$/, '')) !== 0

function nameOf(entry: string): string {
  const name = bare(entry)
  // As URLs spell names; what looks like a number would be an address there.
  if (name !== '' && URL.canParse(`http://${name}`)) {
    const { host } = new URL(`http://${name}`)
    if (host === name && isIP(host) === 0 && !host.includes(':') && !host.includes('[')) return host
  }
  throw new EmrError('config_invalid', `allowPeer: "${entry}" is no address, range or host name.`)
}

function listOf(ranges: readonly string[]): BlockList {
  const list = new BlockList()
  for (const range of ranges) {
    const [ip = '', bits] = range.split('/')
    const family = isIP(ip) === 6 ? 'ipv6' : 'ipv4'
    const most = family === 'ipv6' ? 128 : 32
    if (Number(bits ?? most) > most) throw new EmrError('config_invalid', `allowPeer: "${range}" is no range.`)
    list.addSubnet(ip, Number(bits ?? most), family)
  }
  return list
}

const matches = (list: BlockList, ip: string): boolean => list.check(ip, isIP(ip) === 6 ? 'ipv6' : 'ipv4')

import { hostAndPort } from '../network/peer-address.js'
import type { Peer } from '../network/peer-book.js'

/** Whether a peer is known by its key, and this node has to do with it. */
const isPresent = ({ key, state }: Peer): boolean => key !== undefined && state !== 'banned' && state !== 'blocked'

/** The addresses of a node and its peers as `host:port`, sorted; `ownUrl` is empty before it answers. */
export const nodeAddresses = (ownUrl: string, peers: readonly Peer[]): string[] =>
  [ownUrl, ...peers.filter(isPresent).map(({ address }) => address)]
    .filter((url) => url !== '')
    .map(hostAndPort)
    .sort()

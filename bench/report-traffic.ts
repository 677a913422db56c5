/**
 * Loaded before a node (`node --import`): on SIGUSR2 it writes to the file EMRCHAIN_TRAFFIC_FILE what has gone over its
 * connections so far, as the sockets count it: headers included, of TCP nothing.
 */
import { subscribe } from 'node:diagnostics_channel'
import { renameSync, writeFileSync } from 'node:fs'
import { Socket } from 'node:net'
import type { Traffic } from './traffic.js'

const path = process.env.EMRCHAIN_TRAFFIC_FILE
if (path) {
  const [calling, called] = [countSockets('net.client.socket'), countSockets('net.server.socket')]
  process.on('SIGUSR2', () => {
    const traffic: Traffic = { calling: calling(), called: called() }
    // Whoever waits for it finds all of it.
    writeFileSync(`${path}.new`, JSON.stringify(traffic))
    renameSync(`${path}.new`, path)
  })
}

/** Bytes of all sockets of a channel of node:net, both ways, those that are closed and those that are open. */
function countSockets(channel: string): () => number {
  const open = new Set<Socket>()
  let closed = 0
  subscribe(channel, (message) => {
    const socket = typeof message === 'object' && message !== null && 'socket' in message ? message.socket : undefined
    if (!(socket instanceof Socket)) return
    open.add(socket)
    socket.once('close', () => {
      open.delete(socket)
      closed += bytesOf(socket)
    })
  })
  return () => [...open].reduce((sum, socket) => sum + bytesOf(socket), closed)
}

function bytesOf({ bytesRead, bytesWritten }: Socket): number {
  return bytesRead + bytesWritten
}

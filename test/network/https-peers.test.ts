import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { calledUrl, ownNames } from '#emrchain/http/own-names.js'
import { createBlockMaker } from '../fixtures/block-maker.js'
import { createAuthority } from '../fixtures/certificates.js'
import {
  agree,
  folderOf,
  startQuietNode as startNode,
  type TestNode,
  transactionsOf,
  until,
} from '../fixtures/start-node.js'

/** Nodes that speak https to each other, with certificates of an authority of their own. */

const maker = createBlockMaker()
const mine = ({ node }: TestNode) => node.mine(new AbortController().signal)

t.test('nodes of one authority connect, sync and tell each other, through a proxy too', async (t) => {
  const home = folderOf(t)
  const authority = createAuthority(home)
  const tlsCa = authority.ca
  const local = authority.issue('IP:127.0.0.1,DNS:localhost')
  const first = await startNode(t, { ...local, tlsCa })
  await first.node.submitTransaction(maker.record('before').bytes)
  await mine(first)
  const second = await startNode(t, { ...local, tlsCa, peer: [first.url] })
  await until(second, () => agree(first, second))

  // A proxy ends TLS of the third, which speaks plain HTTP to it under another name.
  let target = ''
  const pem = { cert: readFileSync(local.tlsCert), key: readFileSync(local.tlsKey) }
  const proxy = createServer(pem, (incoming, outgoing) => {
    const { method = 'GET', url = '/', headers } = incoming
    const onward = request(new URL(url, target), { method, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(outgoing)
    })
    onward.on('error', () => outgoing.destroy())
    incoming.pipe(onward)
  }).listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  t.teardown(() => {
    proxy.closeAllConnections()
    proxy.close()
  })
  const publicUrl = `https://localhost:${(proxy.address() as AddressInfo).port}`
  const third = await startNode(t, { behindProxy: true, publicUrl, tlsCa })
  target = third.url
  t.same(await third.node.connect([second.url]), { refused: [] }, 'it is called back at its public name')
  await until(third, () => agree(first, third))
  t.ok(
    second.node.peers().some(({ address, key }) => address === publicUrl && key),
    'which proved its key',
  )

  const record = maker.record('after')
  await first.node.submitTransaction(record.bytes)
  const has = async (node: TestNode) => (await transactionsOf(node.node)).pending.includes(record.id.toString())
  await until([second, third], async () => (await has(second)) && (await has(third)))
  await mine(third)
  await until([first, second], () => agree(first, third) && agree(second, third))
  t.same((await transactionsOf(first.node)).onChain.length, 2)
})

t.test('a peer whose certificate is not vouched for is not called', async (t) => {
  const home = folderOf(t)
  const [ours, theirs] = [createAuthority(home, 'ours'), createAuthority(home, 'theirs')]
  const node = await startNode(t, { ...ours.issue('IP:127.0.0.1'), tlsCa: ours.ca })
  const stranger = await startNode(t, { ...theirs.issue('IP:127.0.0.1'), tlsCa: theirs.ca })
  const misnamed = await startNode(t, { ...ours.issue('DNS:elsewhere.example'), tlsCa: ours.ca })
  for (const { url } of [stranger, misnamed]) {
    t.match(await node.node.connect([url]), { refused: [{ node: url, code: 'peer_untrusted' }] })
  }
  t.equal(stranger.node.peers().length, 0, 'nothing was said to it')
  writeFileSync(`${home}/no.crt`, 'no certificate')
  await t.rejects(startNode(t, { tlsCa: `${home}/no.crt` }), { code: 'config_invalid', message: /tlsCa/ })
  await t.rejects(startNode(t, { tlsCa: `${home}/none.crt` }), { code: 'config_invalid', message: /tlsCa/ })
})

t.test('the usual port of a scheme is left out of names', async (t) => {
  const secure = ownNames('https', '127.0.0.1', 443)
  t.equal(secure.advertised, 'https://127.0.0.1')
  for (const host of ['127.0.0.1', '127.0.0.1:443', 'localhost', '[::1]']) t.ok(secure.hosts.has(host), host)
  t.ok(secure.origins.has('https://localhost'))
  const proxied = ownNames('http', '::1', 5002, 'https://node.example')
  t.match(proxied, { url: 'http://[::1]:5002', advertised: 'https://node.example' })
  for (const host of ['node.example', 'node.example:443', '[::1]:5002']) t.ok(proxied.hosts.has(host), host)
  t.notOk(proxied.hosts.has('node.example:5002'))
  t.equal(calledUrl('node.example', '/a?b', proxied.origins), 'https://node.example/a?b')
  t.equal(calledUrl('[::1]:5002', '/', proxied.origins), 'http://[::1]:5002/')
  const odd = ownNames('https', '127.0.0.1', 80)
  t.equal(calledUrl('127.0.0.1:80', '/', odd.origins), 'https://127.0.0.1:80/', 'a port that http would leave out')
})

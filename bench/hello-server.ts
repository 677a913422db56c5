/**
 * Run as a process of its own: the least that a server of Node.js does for a request. It reads the body and answers 19
 * bytes of JSON. Prints one line of JSON with its address when it listens, and ends when its standard input does.
 */
import { createServer } from 'node:http'

const answer = '{"message":"hello"}'
const server = createServer((request, response) => {
  request.resume().once('end', () => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': answer.length })
    response.end(answer)
  })
})
server.listen(0, '127.0.0.1', () => {
  const address = server.address()
  if (typeof address === 'object' && address) console.log(JSON.stringify({ url: `http://127.0.0.1:${address.port}` }))
})
process.stdin.resume().once('end', () => process.exit(0))

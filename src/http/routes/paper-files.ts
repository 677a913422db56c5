import { Readable } from 'node:stream'
import type { MultipartFile } from '@fastify/multipart'
import type { FastifyRequest } from 'fastify'
import { EmrError } from '../../errors.js'
import type { EmrNode, NamedFile } from '../../node/emr-node.js'
import { parseFileCid } from '../../protocol/cid.js'
import { Type } from '../../typebox.js'
import { FileInfo, RecordMatch, recordMatch } from '../paper-json.js'
import { problems, signalOf, type TypedServer } from '../route.js'

const name = (description: string) => Type.String({ minLength: 1, maxLength: 1_024, description })

/** `POST /create_hash`, `/get_file_hash`, `/get_file`: the paper's calls about files. */
export function paperFileRoutes(server: TypedServer, node: EmrNode): void {
  server.post(
    '/create_hash',
    {
      config: { access: 'operator' },
      schema: {
        tags: ['paper'],
        summary: 'Store an encrypted file in IPFS',
        description: 'A file of the folder that the node may read, or a multipart upload of `file`.',
        consumes: ['application/json', 'multipart/form-data'],
        body: Type.Union([
          Type.Object({ file_path: name('path within the file root of the node') }, { additionalProperties: false }),
          Type.Null({ description: 'a multipart upload of `file`' }),
        ]),
        response: { 201: Type.Object({ 'IPFS Hash': FileInfo }), ...problems },
      },
      preValidation: async (request) => {
        // The upload is a stream, which a schema of JSON cannot see.
        if (request.isMultipart()) request.body = null
      },
    },
    async (request, reply) => {
      const signal = signalOf(reply)
      let stored: NamedFile
      if (request.isMultipart()) {
        const parts = request.parts()
        const part = await nextFile(parts)
        if (part?.fieldname !== 'file') throw new EmrError('bad_request', 'The upload has no part "file".')
        stored = await node.createHash(
          { name: part.filename, source: Readable.from(wholeUpload(part.file, parts)) },
          signal,
        )
      } else if (request.body) {
        stored = await node.createHash({ path: request.body.file_path }, signal)
      } else {
        throw new EmrError('bad_request', 'Give file_path, or upload a file.')
      }
      return reply.code(201).send({ 'IPFS Hash': fileInfo(stored) })
    },
  )

  server.post(
    '/get_file_hash',
    {
      config: { access: 'reader' },
      schema: {
        tags: ['paper'],
        summary: 'Find a file on the chain by its name',
        body: Type.Object(
          { name: name('EHR_name or file name'), user_id: Type.Optional(name('only records of this user')) },
          { additionalProperties: false },
        ),
        response: {
          200: Type.Intersect([
            RecordMatch,
            Type.Object({
              matches: Type.Optional(
                Type.Array(RecordMatch, { description: 'the newest of each user; only without user_id' }),
              ),
            }),
          ]),
          ...problems,
        },
      },
    },
    async (request) => {
      const matches = (await node.findFiles(request.body)).flatMap((record) => recordMatch(record) ?? [])
      const [newest] = matches
      if (!newest) throw new EmrError('file_unknown')
      return request.body.user_id === undefined ? { ...newest, matches } : newest
    },
  )

  server.post(
    '/get_file',
    {
      config: { access: 'operator' },
      schema: {
        tags: ['paper'],
        summary: 'Write a file into the download folder of the node',
        body: Type.Object({ ipfs_hash: name('CID of the file') }, { additionalProperties: false }),
        response: {
          200: Type.Object({
            message: Type.Literal('The File has Retrieved at Your Local Directory'),
            path: Type.String(),
            size: Type.Integer({ description: 'bytes written' }),
          }),
          ...problems,
        },
      },
    },
    async (request, reply) => {
      const { path, size } = await node.getFile(parseFileCid(request.body.ipfs_hash), signalOf(reply))
      return { message: 'The File has Retrieved at Your Local Directory' as const, path, size }
    },
  )
}

type Parts = ReturnType<FastifyRequest['parts']>

/** The next file of a form; fields are passed over. @throws EmrError `bad_request` where the form is broken before it */
async function nextFile(parts: Parts): Promise<MultipartFile | undefined> {
  try {
    for (;;) {
      const next = await parts.next()
      if (next.done) return undefined
      if (next.value.type === 'file') return next.value
    }
  } catch (cause) {
    if (isCode(cause, 'FST_FILES_LIMIT')) throw new EmrError('bad_request', 'The form has more than one file.')
    if (cause instanceof Error && 'statusCode' in cause) throw cause
    throw new EmrError('bad_request', 'The form is not well-formed.', {}, { cause })
  }
}

const isCode = (error: unknown, code: string): boolean =>
  error instanceof Error && 'code' in error && error.code === code

/**
 * The bytes of an upload. One that is over the limit is cut there, and must not pass for a shorter file; nor must one
 * file pass for two, so that it ends well only where the form does.
 */
async function* wholeUpload(file: MultipartFile['file'], parts: Parts): AsyncGenerator<Uint8Array> {
  try {
    yield* file
  } catch (cause) {
    throw new EmrError('bad_request', 'The form ends early.', {}, { cause })
  }
  if (file.truncated) throw new EmrError('body_too_large')
  if (await nextFile(parts)) throw new EmrError('bad_request', 'The form has more than one file.')
}

const fileInfo = ({ cid, name, size }: NamedFile): FileInfo => ({
  Hash: cid.toString(),
  Name: name,
  Size: String(size),
})

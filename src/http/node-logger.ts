import { type DestinationStream, type Logger, pino } from 'pino'
import { isEmrError } from '../errors.js'

/** Keys whose values are never written, one level down too: what a person, a key or a request says. */
const SECRET = [
  'user_id',
  'EHR_name',
  'file_name',
  'filename',
  'file_path',
  'label',
  'passphrase',
  'seed',
  'secretKey',
  'authorization',
  'cookie',
  'headers',
  'body',
  'rawPacket',
]

/** How many causes of an error are followed. */
const MAX_CAUSES = 4

/**
 * The log of a node: JSON lines of a fixed message and facts. Names of records and files, keys and bodies stay out
 * of it. Our own errors are written with their sentence, which holds none; of any other error only its kind, its
 * code and where it came from, since its message may quote what it was about: a path, or a piece of a request.
 */
export const createNodeLogger = (level: string, stream: DestinationStream): Logger =>
  pino(
    {
      level,
      serializers: { err: (error: unknown) => errorFacts(error) },
      redact: { paths: SECRET.flatMap((key) => [key, `*.${key}`]), censor: '[not logged]' },
      hooks: {
        logMethod(args, method) {
          const [first, message] = args as unknown[]
          // Without a message pino takes that of the error.
          if (first instanceof Error) return method.call(this, { err: first }, text(message))
          if (typeof first === 'object' && message === undefined) return method.call(this, first, text(message))
          return method.apply(this, args)
        },
      },
    },
    stream,
  )

const text = (message: unknown): string => (typeof message === 'string' ? message : 'no message')

/** What the log says of an error. */
export function errorFacts(error: unknown, causes = MAX_CAUSES): object {
  if (!(error instanceof Error)) return { type: typeof error }
  const { name: type, stack = '', cause } = error
  const place = stack.split('\n').filter((line) => /^\s+at /.test(line))
  const code = 'code' in error && ['string', 'number'].includes(typeof error.code) ? { code: error.code } : {}
  const call = 'syscall' in error && typeof error.syscall === 'string' ? { syscall: error.syscall } : {}
  return {
    type,
    ...code,
    ...call,
    ...(isEmrError(error) ? { message: error.message, facts: error.facts } : {}),
    stack: place.join('\n'),
    ...(cause instanceof Error && causes > 0 ? { cause: errorFacts(cause, causes - 1) } : {}),
  }
}

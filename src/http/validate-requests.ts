import type { FastifySchemaCompiler } from 'fastify'
import { Compile, type TSchema, Value } from '../typebox.js'

/**
 * Checks what a request brings against its schema. A body is taken as it came; of paths, queries and headers, which are
 * texts, numbers and the like are read first.
 */
export const validateRequests: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  const validator = Compile(schema)
  return (value: unknown) => {
    const read = httpPart === 'body' ? value : Value.Convert(schema, value)
    return validator.Check(read) ? { value: read } : { error: validator.Errors(read) as never }
  }
}

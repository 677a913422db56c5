/**
 * The schema library, for all of src/: the build puts it into this one file, since each process would read nearly 700
 * files of it otherwise, for 0.2 s (docs/decisions/0013-one-file-of-typebox.md).
 */
export { type Static, type TSchema, Type } from 'typebox'
export { Compile } from 'typebox/compile'
export type { TLocalizedValidationError } from 'typebox/error'
export { default as Value } from 'typebox/value'

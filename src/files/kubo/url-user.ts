import { EmrError } from '../../errors.js'

/** A URL without the user and password in it, as it may be called and shown. */
export function withoutUser(url: URL): URL {
  const clean = new URL(url)
  clean.username = ''
  clean.password = ''
  return clean
}

/**
 * The Authorization header of a call: as given, else user and password of the URL as Basic authorization.
 *
 * @throws EmrError `config_invalid` if they are not well encoded
 */
export function authorizationHeaders(
  { username, password }: URL,
  authorization: string | undefined,
): Record<string, string> {
  if (authorization !== undefined) return { authorization }
  if (username === '' && password === '') return {}
  try {
    const user = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`
    return { authorization: `Basic ${Buffer.from(user).toString('base64')}` }
  } catch {
    // Without the cause, which could show the password.
    throw new EmrError('config_invalid', 'User or password in the URL of the file store is not well encoded.')
  }
}

import { createHash } from 'node:crypto'
import { AWS_RULES } from './policy/aws-rules.ts'

/** What ends every name that is not the text itself: 128 bits of SHA-256. */
const DIGEST = /=[\w-]{22}$/
const READABLE_CHARACTERS = 64 - '='.length - 22

/**
 * A `RoleSessionName` for any text, and never one for two: the text where it can be one, else what is readable of it and a
 * digest of all of it. A text that looks as if it had a digest gets one, too.
 */
export function sessionNameOf(text: string): string {
  if (AWS_RULES.name.test(text) && !DIGEST.test(text)) return text
  const readable = text.replaceAll(/[^\w+=,.@-]+/g, '-').slice(0, READABLE_CHARACTERS)
  return `${readable}=${createHash('sha256').update(text, 'utf16le').digest('base64url').slice(0, 22)}`
}

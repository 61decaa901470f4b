import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const COMMAND = fileURLToPath(new URL('../../bin/token-broker.mjs', import.meta.url))

describe('the command line in a pipe', () => {
  it('ends without a word when nobody reads on, as with head', () => {
    const { stderr, status } = spawnSync(
      'bash',
      ['-c', `set -o pipefail; "$0" "$1" --help | true`, process.execPath, COMMAND],
      {
        encoding: 'utf8',
        // bash itself says a word where the machine's locale is not installed.
        env: { ...process.env, LC_ALL: 'C' },
      },
    )
    expect({ stderr, status }).toEqual({ stderr: '', status: 0 })
  })
})

import type { LineageNode } from '../../../cli/lineage.ts'
import { getJson } from './api.ts'
import { Pill, Problem, useLoaded } from './parts.tsx'

interface LineageProps {
  readonly txn: string
  /** Grows when something has happened. */
  readonly round: number
  readonly onRevoke: (token: string) => void
}

/** What a token was made from, what was made from it, and which of it is dead. */
export function Lineage({ txn, round, onRevoke }: LineageProps) {
  return <Tree key={`${txn} ${round}`} txn={txn} onRevoke={onRevoke} />
}

function Tree({ txn, onRevoke }: Omit<LineageProps, 'round'>) {
  const { value, error } = useLoaded(() =>
    getJson<{ readonly trees: readonly LineageNode[] }>(`lineage/${txn}`),
  )
  if (value === undefined) return error === undefined ? <p>…</p> : <Problem error={error} />
  return (
    <ul class="tree" aria-label="lineage">
      {value.trees.map((node) => (
        <Branch key={node.token} node={node} onRevoke={onRevoke} />
      ))}
    </ul>
  )
}

interface BranchProps {
  readonly node: LineageNode
  readonly onRevoke: (token: string) => void
}

function Branch({ node, onRevoke }: BranchProps) {
  const { token, issued, revokedBy, withheld, children } = node
  const isDead = revokedBy.length > 0
  const isHeld = withheld === undefined || withheld.repeatedAt !== undefined
  return (
    <li class={isDead ? 'dead' : ''}>
      <div class="node">
        <Pill tone={isDead ? 'bad' : isHeld ? 'good' : 'warn'}>
          {isDead ? 'revoked' : isHeld ? 'alive' : 'not released'}
        </Pill>{' '}
        <strong>{issued === undefined ? 'subject token' : issued.target}</strong> <code>{token}</code>{' '}
        {issued === undefined || isDead ? null : (
          <button type="button" class="small" aria-label={`revoke ${token}`} onClick={() => onRevoke(token)}>
            revoke
          </button>
        )}
        <div class="quiet">{noteOf(node)}</div>
      </div>
      {children.length === 0 ? null : (
        <ul>
          {children.map((child) => (
            <Branch key={child.token} node={child} onRevoke={onRevoke} />
          ))}
        </ul>
      )}
    </li>
  )
}

function noteOf({ issued, revokedBy, withheld }: LineageNode): string {
  return [
    ...(issued === undefined ? [] : [issued.scope, `by ${issued.grant}`].filter(Boolean)),
    ...(revokedBy.length === 0 ? [] : [`cut off by ${revokedBy.join(', ')}`]),
    ...(withheld === undefined ? [] : [withheld.reason]),
    ...(withheld?.repeatedAt === undefined ? [] : ['released to a retry']),
  ].join(' · ')
}

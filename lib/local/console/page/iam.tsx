import { useState } from 'preact/hooks'
import type { PermissionUse } from '../../aws/permissions.ts'
import { getJson } from './api.ts'
import { constructName, Panel, Pill, Problem, useLoaded } from './parts.tsx'

export function Iam() {
  const { value, error, reload } = useLoaded(() =>
    getJson<{ readonly permissions: readonly PermissionUse[] }>('permissions'),
  )
  const [isUnusedOnly, setUnusedOnly] = useState(false)
  if (value === undefined) return <Problem error={error} />
  const byFunction = Map.groupBy(value.permissions, ({ principal }) => principal)
  return (
    <>
      <Problem error={error} />
      <div class="bar-of-tools">
        <button type="button" onClick={reload}>
          Look again
        </button>
        <label>
          <input
            type="checkbox"
            checked={isUnusedOnly}
            onChange={({ currentTarget }) => setUnusedOnly(currentTarget.checked)}
          />{' '}
          unused only
        </label>
        <span class="quiet">
          What each role allows on AWS, and what of it this run has needed. A call beyond it would have
          stopped the broker.
        </span>
      </div>
      <div class="columns">
        {[...byFunction].map(([principal, permissions]) => (
          <Role key={principal} principal={principal} permissions={permissions} isUnusedOnly={isUnusedOnly} />
        ))}
      </div>
    </>
  )
}

interface RoleProps {
  readonly principal: string
  readonly permissions: readonly PermissionUse[]
  readonly isUnusedOnly: boolean
}

function Role({ principal, permissions, isUnusedOnly }: RoleProps) {
  const used = permissions.filter((permission) => permission.used).length
  return (
    <Panel
      title={constructName(principal)}
      actions={
        <span class="quiet">
          {used} of {permissions.length} used
        </span>
      }
    >
      <meter
        aria-label={`permissions of ${principal} that were used`}
        min={0}
        max={permissions.length}
        value={used}
      />
      <table class="permissions">
        <tbody>
          {permissions
            .filter((permission) => !(isUnusedOnly && permission.used))
            .map(({ action, resource, used: isUsed }) => (
              <tr key={`${action} ${resource}`}>
                <td>
                  <Pill tone={isUsed ? 'good' : 'plain'}>{isUsed ? 'used' : 'not yet'}</Pill>
                </td>
                <td>
                  <code>{action}</code>
                  <div class="quiet one-line" title={resource}>
                    {resource.replace(/^arn:aws:\w+:[\w-]*:\d*:/, '')}
                  </div>
                </td>
              </tr>
            ))}
        </tbody>
      </table>
    </Panel>
  )
}

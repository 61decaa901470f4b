import type { TrailEvent } from './aws/cloudtrail.ts'
import { asObject, textAt, textsAt } from './aws/service.ts'

/** Who wanted a session, in one line, with what a trust policy had against it; `undefined` for other events of CloudTrail. */
export function trailLine(event: TrailEvent): string | undefined {
  if (!event.eventName.startsWith('AssumeRole')) return undefined
  const parameters = asObject(event['requestParameters'])
  const roleArn = textAt(parameters, 'roleArn')
  const obstacles = textsAt(asObject(event['additionalEventData']), 'trustPolicy')
  const because = obstacles.length > 0 ? `: ${obstacles.join('; ')}` : ''
  const outcome = `${textAt(event, 'errorCode') ?? 'ok'}${because}`
  const what = roleArn === undefined ? '' : ` of ${roleArn} as ${textAt(parameters, 'roleSessionName')}`
  return `sts: ${event.eventName}${what}: ${outcome}`
}

import { App } from 'aws-cdk-lib/core'
import { describe, expect, it } from 'vitest'
import { ConfigError, parseConfig, readConfig } from '../../lib/config.ts'
import { projectContext } from '../../lib/project-context.ts'

const DOMAIN = {
  name: 'broker.example.com',
  certificateArn: 'arn:aws:acm:eu-west-1:111122223333:certificate/abc-123',
}

describe('the deployment config', () => {
  it('has a default for everything', () => {
    expect(parseConfig({})).toEqual({
      stage: 'dev',
      policyFolder: 'policy',
      logRetentionDays: 90,
      auditRetentionDays: 400,
      keyRotationHours: 720,
      delegatedKeyHours: 24,
      verifierCacheMinutes: 120,
      monitoring: {
        availabilityPercent: 99.9,
        latencyPercent: 99,
        latencyMilliseconds: 200,
        pageSubscribers: [],
        ticketSubscribers: [],
        runbookBaseUrl: 'docs/runbooks',
        maintenance: [],
        applicationSignals: false,
      },
      rollout: 'canary',
      probe: true,
      removalProtection: true,
    })
  })

  it('releases all at once where nothing is protected, unless it says otherwise', () => {
    expect(parseConfig({ removalProtection: false }).rollout).toBe('all-at-once')
    expect(parseConfig({ removalProtection: false, rollout: 'canary' }).rollout).toBe('canary')
    expect(parseConfig({ rollout: 'all-at-once' }).rollout).toBe('all-at-once')
  })

  it('takes environments that are ready, seven tenths of them in use unless it says otherwise', () => {
    const provisioned = (provisionedConcurrency: object) =>
      parseConfig({ provisionedConcurrency }).provisionedConcurrency
    expect(provisioned({ min: 2, max: 2 })).toEqual({ min: 2, max: 2, utilization: 0.7 })
    expect(provisioned({ min: 1, max: 1000, utilization: 0.9 })).toMatchObject({ utilization: 0.9 })
  })

  it.each([50, 1500, 4000])('takes %d ms for a fast answer', (latencyMilliseconds) => {
    expect(parseConfig({ monitoring: { latencyMilliseconds } }).monitoring).toMatchObject({
      latencyMilliseconds,
    })
  })

  it('takes subscribers by e-mail, queue and function', () => {
    const pageSubscribers = [
      'on-call@example.com',
      'arn:aws:sqs:eu-west-1:111122223333:pages',
      'arn:aws:lambda:eu-west-1:111122223333:function:page',
    ]
    expect(parseConfig({ monitoring: { pageSubscribers } }).monitoring).toMatchObject({ pageSubscribers })
  })

  const MUTUAL_TLS = {
    name: 'mtls.broker.example.com',
    certificateArn: DOMAIN.certificateArn,
    truststore: 's3://trust-bucket/clients.pem',
    truststoreVersion: 'v1',
  }

  it('takes a second name where clients show certificates', () => {
    const domain = { ...DOMAIN, mutualTls: MUTUAL_TLS }
    expect(parseConfig({ domain }).domain).toEqual(domain)
  })

  it.each([
    ['name', DOMAIN.name, 'another host name than that of the issuer'],
    ['truststore', 'https://trust-bucket/clients.pem', 'the S3 URI of a PEM file'],
    ['truststore', 's3://trust-bucket/', 'the S3 URI of a PEM file'],
    ['truststoreVersion', undefined, 'the version id of that S3 object'],
    ['certificateArn', 'arn:aws:iam::111122223333:role/a', 'the ARN of an ACM certificate'],
  ])('takes no other %s there: %s', (key, value, rule) => {
    const domain = { ...DOMAIN, mutualTls: { ...MUTUAL_TLS, [key]: value } }
    expect(() => parseConfig({ domain })).toThrow(`broker.domain.mutualTls.${key}: found`)
    expect(() => parseConfig({ domain })).toThrow(rule)
  })

  it.each(['otel', 'arn:aws:lambda:eu-west-1:1:layer:x:1', 'arn:aws:lambda:eu-west-1:615299751070:layer:x'])(
    'refuses the layer %s',
    (openTelemetryLayer) => {
      expect(() => parseConfig({ openTelemetryLayer })).toThrow(/broker\.openTelemetryLayer/)
    },
  )

  it('takes a custom domain', () => {
    expect(parseConfig({ domain: DOMAIN }).domain).toEqual(DOMAIN)
  })

  it.each([
    [24, 120],
    [4, 120],
    [26, 1440],
  ])('rotates keys every %i hours while verifiers cache for %i minutes', (hours, minutes) => {
    const chosen = { keyRotationHours: hours, verifierCacheMinutes: minutes }
    expect(parseConfig(chosen)).toMatchObject(chosen)
  })

  it('replaces delegated keys every day, or as soon as verifiers allow it', () => {
    expect(parseConfig({ keyRotationHours: 48, verifierCacheMinutes: 1440 }).delegatedKeyHours).toBe(26)
    expect(parseConfig({ delegatedKeyHours: 6 }).delegatedKeyHours).toBe(6)
  })

  it.each([
    [{ stage: 'Prod' }, 'broker.stage: found "Prod", allowed is a lower-case letter'],
    [{ stage: 'a'.repeat(17) }, 'broker.stage: found "aaaaaaaaaaaaaaaaa", allowed is'],
    [{ stage: 7 }, 'broker.stage: found 7, allowed is'],
    [{ policyFolder: '' }, 'broker.policyFolder: found "", allowed is the path of a folder'],
    [{ logRetentionDays: 91 }, 'broker.logRetentionDays: found 91, allowed is one of 1, 3, 5'],
    [{ auditRetentionDays: 0 }, 'broker.auditRetentionDays: found 0, allowed is a whole number of days'],
    [{ logRetentionDays: 9999 }, 'broker.logRetentionDays: found 9999, allowed is'],
    [
      { keyRotationHours: 3 },
      'broker.keyRotationHours: found 3, allowed is at least 4 hours while verifiers',
    ],
    [
      { keyRotationHours: 24, verifierCacheMinutes: 1440 },
      'broker.keyRotationHours: found 24, allowed is at least 26 hours while verifiers cache for 1440 minutes',
    ],
    [
      { delegatedKeyHours: 3 },
      'broker.delegatedKeyHours: found 3, allowed is at least 4 hours while verifiers',
    ],
    [
      { delegatedKeyHours: 169 },
      'broker.delegatedKeyHours: found 169, allowed is a whole number of hours, at most 168',
    ],
    [{ keyRotationHours: 8761 }, 'broker.keyRotationHours: found 8761, allowed is a whole number of hours'],
    [{ keyRotationHours: 24.5 }, 'broker.keyRotationHours: found 24.5, allowed is a whole number of hours'],
    [{ keyRotationHours: '24' }, 'broker.keyRotationHours: found "24", allowed is a whole number of hours'],
    [
      { verifierCacheMinutes: 4 },
      'broker.verifierCacheMinutes: found 4, allowed is a whole number of minutes from 5 to 1440',
    ],
    [{ verifierCacheMinutes: 1441 }, 'broker.verifierCacheMinutes: found 1441, allowed is'],
    [{ rollout: 'blue' }, 'broker.rollout: found "blue", allowed is one of canary, all-at-once'],
    [{ provisionedConcurrency: 2 }, 'broker.provisionedConcurrency: found 2, allowed is an object with min'],
    [
      { provisionedConcurrency: { min: 0, max: 2 } },
      'broker.provisionedConcurrency.min: found 0, allowed is',
    ],
    [
      { provisionedConcurrency: { min: 3, max: 2 } },
      'broker.provisionedConcurrency.min: found 3, allowed is at most max',
    ],
    [
      { provisionedConcurrency: { min: 1, max: 2, utilization: 70 } },
      'broker.provisionedConcurrency.utilization: found 70, allowed is a number from 0.1 to 0.9',
    ],
    [
      { provisionedConcurrency: { min: 1, max: 2, target: 1 } },
      'broker.provisionedConcurrency: found {"min":1,"max":2,"target":1}, allowed is nothing named target',
    ],
    [{ removalProtection: 'no' }, 'broker.removalProtection: found "no", allowed is true or false'],
    [
      { domain: { ...DOMAIN, name: 'https://broker.example.com' } },
      'broker.domain.name: found "https://broker.example.com", allowed is a host name',
    ],
    [
      { domain: { name: DOMAIN.name } },
      'broker.domain.certificateArn: found undefined, allowed is the ARN of an ACM certificate',
    ],
    [
      { monitoring: { availabilityPercent: 100 } },
      'broker.monitoring.availabilityPercent: found 100, allowed is a percentage from 95 to 99.999',
    ],
    [
      { monitoring: { availabilityPercent: 94.9 } },
      'broker.monitoring.availabilityPercent: found 94.9, allowed',
    ],
    [
      { monitoring: { availabilityPercent: '99.9' } },
      'broker.monitoring.availabilityPercent: found "99.9", allowed is a percentage',
    ],
    [
      { monitoring: { latencyPercent: 99.95 } },
      'broker.monitoring.latencyPercent: found 99.95, allowed is a percentage from 90 to 99.9',
    ],
    ...[49, 4001, 99.5, '200', null].map((latencyMilliseconds): [object, string] => [
      { monitoring: { latencyMilliseconds } },
      `broker.monitoring.latencyMilliseconds: found ${JSON.stringify(latencyMilliseconds)}, allowed is a whole number of milliseconds from 50 to 4000: what takes 5000 has failed`,
    ]),
    [
      { monitoring: { pageSubscribers: ['on-call'] } },
      'broker.monitoring.pageSubscribers.0: found "on-call", allowed is an e-mail address, or the ARN',
    ],
    [
      { monitoring: { pageSubscribers: 'ops@example.com' } },
      'broker.monitoring.pageSubscribers: found "ops@example.com", allowed is a list, of which each is',
    ],
    [
      { monitoring: { ticketSubscribers: ['https://events.example.com/integration/secret'] } },
      'broker.monitoring.ticketSubscribers.0: found',
    ],
    [
      { monitoring: { ticketSubscribers: ['arn:aws:sns:eu-west-1:111122223333:other'] } },
      'broker.monitoring.ticketSubscribers.0: found',
    ],
    [
      { monitoring: { runbookBaseUrl: 'https://wiki.example.com/runbooks/' } },
      'broker.monitoring.runbookBaseUrl: found "https://wiki.example.com/runbooks/", allowed is an https URL',
    ],
    [
      { monitoring: { runbookBaseUrl: 'http://wiki.example.com' } },
      'broker.monitoring.runbookBaseUrl: found',
    ],
    [
      { monitoring: { pagers: [] } },
      'broker.monitoring: found {"pagers":[]}, allowed is nothing named pagers',
    ],
    [{ monitoring: true }, 'broker.monitoring: found true, allowed is an object'],
    [{ domain: true }, 'broker.domain: found true, allowed is an object with name and certificateArn'],
    [{ stages: ['dev'] }, 'broker: found {"stages":["dev"]}, allowed is nothing named stages'],
    ['prod', 'broker: found "prod", allowed is an object'],
  ])('refuses %j, saying what it found and what is allowed', (config, message) => {
    expect(() => parseConfig(config)).toThrow(ConfigError)
    expect(() => parseConfig(config)).toThrow(message)
  })

  it('names every wrong value at once', () => {
    expect(() => parseConfig({ stage: '', removalProtection: 1 })).toThrow(/stage.*\n.*removalProtection/)
  })

  it('is the context of cdk.json, its stage overridden by -c stage=…', () => {
    const broker = { stage: 'dev', logRetentionDays: 30 }
    const { node } = new App({ context: { broker, stage: 'prod' } })
    expect(readConfig(node)).toMatchObject({ stage: 'prod', logRetentionDays: 30 })
  })

  it('in cdk.json is valid', () => {
    const { node } = new App({ context: projectContext() })
    expect(readConfig(node)).toMatchObject({ stage: 'dev', policyFolder: 'policy' })
  })
})

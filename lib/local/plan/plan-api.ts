import { TemplateDefect, textOf } from '../intrinsics.ts'
import type { ResolvedResource } from '../resolved-stacks.ts'
import type { ApiPlan, RoutePlan } from './cloud-plan.ts'
import { invocable, ofType, textAt, type Wiring } from './wiring.ts'

export function apiPlan(wiring: Wiring): ApiPlan | undefined {
  const [api, another] = ofType(wiring.resources, 'AWS::ApiGatewayV2::Api')
  if (another !== undefined)
    throw new TemplateDefect(another.where, 'a second API: there is one local address')
  if (api === undefined) return undefined
  if (api.properties['ProtocolType'] !== 'HTTP')
    throw new TemplateDefect(api.where, 'only HTTP APIs run locally')
  if (api.properties['CorsConfiguration'] !== undefined)
    throw new TemplateDefect(api.where, 'CORS does not run locally')
  for (const stage of ofType(wiring.resources, 'AWS::ApiGatewayV2::Stage')) {
    if (stage.name !== '$default')
      throw new TemplateDefect(stage.where, 'only the stage $default runs locally')
  }
  const routes = ofType(wiring.resources, 'AWS::ApiGatewayV2::Route')
  return { id: api.name, routes: routes.map((route) => routePlan(route, wiring)) }
}

function routePlan({ where, properties }: ResolvedResource, wiring: Wiring): RoutePlan {
  const authorization = properties['AuthorizationType'] ?? 'NONE'
  if (authorization !== 'NONE' && authorization !== 'AWS_IAM') {
    throw new TemplateDefect(where, `routes with ${textOf(authorization)} authorization do not run locally`)
  }
  const target = textAt(properties, 'Target', where)
  const integration = ofType(wiring.resources, 'AWS::ApiGatewayV2::Integration').find(
    ({ reference }) => target === `integrations/${reference}`,
  )
  if (integration === undefined)
    throw new TemplateDefect(where, `its integration ${target} is not in the template`)
  const { IntegrationType, PayloadFormatVersion, IntegrationUri, TimeoutInMillis } = integration.properties
  if (IntegrationType !== 'AWS_PROXY')
    throw new TemplateDefect(integration.where, 'it is not a Lambda integration')
  if (PayloadFormatVersion !== '1.0') {
    throw new TemplateDefect(
      integration.where,
      `payload format ${textOf(PayloadFormatVersion)}, where the local API sends 1.0`,
    )
  }
  return {
    routeKey: textAt(properties, 'RouteKey', where),
    functionName: invocable(textOf(IntegrationUri), 'apigateway.amazonaws.com', integration.where, wiring),
    timeoutMilliseconds: Number(TimeoutInMillis ?? 30_000),
    authorization,
  }
}

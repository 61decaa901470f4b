#!/usr/bin/env node
// What `npx token-broker` starts: lets Node read TypeScript, then runs the command line.
import { register } from 'tsx/esm/api'

// The AWS SDK tells of its plans for Node on every start: nothing that an operator could do anything about.
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true'
register()
await import('./token-broker.ts')

#!/usr/bin/env node
// What `npx token-broker` starts: lets Node read TypeScript, then runs the command line.
import { register } from 'tsx/esm/api'

register()
await import('./token-broker.ts')

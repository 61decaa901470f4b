/**
 * Whose credentials `npm start` prints: somebody who may do everything in the local cloud. No secret: the local cloud
 * listens on loopback alone, and exists nowhere else.
 */
export const LOCAL_OPERATOR = {
  name: 'operator',
  accessKeyId: 'AKIALOCALOPERATOR000',
  secretAccessKey: 'local-operator',
} as const

/**
 * Items of the `exchanges` table that are no exchange, by what their keys begin with. They say nothing that an exchange's
 * record does not: the audit export passes over them. A record's key begins with a token id, 22 characters without `#`, and
 * so with none of these.
 */
export const OTHER_ITEMS = {
  assertion: 'assertion#',
  actor: 'actor#',
  dpop: 'dpop#',
  reference: 'reference#',
} as const

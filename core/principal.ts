/** Who may use a grant. A union, so that a forgotten kind fails to compile instead of letting somebody through. */
export type Principal =
  | { readonly type: 'system' }
  | { readonly type: 'user'; readonly appUserId: string }
  | { readonly type: 'group'; readonly idpId: string; readonly externalGroupId: string }
  | { readonly type: 'agent'; readonly agentId: string };

export type PrincipalType = Principal['type'];

/**
 * One fact, in the past tense, in the spelling in which it is stored, listed and exported. It never holds a header
 * value, a query or a body. Absent and null mean the same: not known or not applicable.
 */
export interface AuditEvent {
  readonly id: string;
  /** ISO 8601, UTC. */
  readonly time: string;
  readonly event: AuditEventName;
  readonly app_id: string;
  readonly request_id?: string | null;
  readonly key_id?: string | null;
  readonly principal_type?: string | null;
  readonly principal_id?: string | null;
  readonly agent_id?: string | null;
  /** The end user whose token was shown, or who lent the grant. */
  readonly user_id?: string | null;
  readonly grant_id?: string | null;
  readonly managed_secret_id?: string | null;
  readonly managed_secret_slug?: string | null;
  readonly secret_version?: number | null;
  readonly method?: string | null;
  readonly host?: string | null;
  readonly path?: string | null;
  readonly status?: number | null;
  readonly latency_ms?: number | null;
  readonly decision?: 'allow' | 'deny' | null;
  readonly code?: string | null;
  readonly policy_error?: string | null;
  readonly reason?: string | null;
  readonly caller?: string | null;
  readonly context?: string | null;
  readonly client_ip?: string | null;
}

export const auditEventNames = [
  'request.decided',
  'request.completed',
  'tunnel.decided',
  'tunnel.completed',
  'app.created',
  'app.updated',
  'app.archived',
  'app.unarchived',
  'app.deleted',
  'sidecar_credentials.issued',
  'root_key.rewrapped',
  'ca.rotated',
  'secret.created',
  'secret.updated',
  'secret.rotated',
  'secret.deleted',
  'grant.created',
  'grant.updated',
  'grant.revoked',
  'key.minted',
  'key.renamed',
  'key.rotated',
  'key.revoked',
  'agent.created',
  'agent.updated',
  'agent.deprecated',
  'agent.revoked',
  'identity_provider.created',
  'identity_provider.updated',
  'identity_provider.deleted',
  'workload_identity.created',
  'workload_identity.deleted',
  'user.created',
  'group.created',
  'group.member_added',
  'group.member_removed',
  'delegation.created',
  'delegation.revoked',
  'webhook.created',
  'webhook.updated',
  'webhook.deleted',
  'webhook.disabled',
  'token.created',
  'token.revoked',
  'audit.exported',
  'audit.retention_updated',
  'audit.trimmed',
  'record.rejected',
  'state.rollback_found',
  'state.reanchored',
  'backup.created',
  'backup.restored',
] as const;
export type AuditEventName = (typeof auditEventNames)[number];

/** A place where events become durable. Resolves when they are; rejects with `audit_unavailable` when they are not. */
export interface AuditSink {
  record(event: AuditEvent): Promise<void>;
  close(): Promise<void>;
}

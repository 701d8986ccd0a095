import type { PolicyDocument } from './policy-document.ts';

export const agentTypes = ['agent', 'service'] as const;
export const agentStatuses = ['active', 'deprecated', 'revoked'] as const;
export type AgentType = (typeof agentTypes)[number];
export type AgentStatus = (typeof agentStatuses)[number];

/** Something that works by itself, with keys and grants of its own. */
export interface Agent {
  readonly id: string;
  readonly appId: string;
  /** Unique in the app; fixed at creation. */
  readonly name: string;
  readonly displayName: string | null;
  readonly type: AgentType;
  /** A deprecated agent goes on working, but gets no new keys or grants. A revoked one does nothing any more, for good. */
  readonly status: AgentStatus;
  /** What operators note; nothing decides by it. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Holds for every use of a credential by this agent. */
  readonly policy: PolicyDocument | null;
  readonly createdAt: number;
  readonly updatedAt: number;
}

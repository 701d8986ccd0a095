import type { LeafCache } from '../certs/leaf-cache.ts';
import type { EgressMode } from '../core/evaluate.ts';
import type { ReadModel } from '../vault/read-model.ts';
import type { AuditTargets } from './audit.ts';
import type { DialRules } from './dial.ts';
import type { FailedKeys } from './failed-keys.ts';
import type { Forwarder } from './forward.ts';
import type { OwnToken } from './own-token.ts';
import type { Reporter } from './report.ts';
import type { HeadLimits } from './request.ts';
import type { SigningLimits } from './signed-body.ts';
import type { UserVerifier } from './verify-user.ts';
import type { WorkloadVerifier } from './verify-workload.ts';

/** What the stages are given; each takes what it uses. Made once, in `main.ts`. */
export interface DataPlane {
  readonly model: ReadModel;
  readonly users: UserVerifier;
  readonly workloads: WorkloadVerifier;
  /** Whose connections without a key are: null unless this is the sidecar of a pod with an identity. */
  readonly ownToken: OwnToken | null;
  readonly audit: AuditTargets;
  readonly leaves: LeafCache;
  readonly forwarder: Forwarder;
  readonly dial: DialRules;
  readonly mode: EgressMode;
  readonly limits: HeadLimits;
  readonly signing: SigningLimits;
  readonly failedKeys: FailedKeys;
  readonly clock: () => number;
  readonly requestId: () => string;
  readonly reporter: Reporter;
}

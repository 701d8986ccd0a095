import type { LeafCache } from '../certs/leaf-cache.ts';
import type { EgressMode } from '../core/evaluate.ts';
import type { ReadModel } from '../vault/read-model.ts';
import type { AuditTargets } from './audit.ts';
import type { SigningLimits } from './aws/signed-body.ts';
import type { FailedKeys } from './caller/failed-keys.ts';
import type { OwnToken } from './caller/own-token.ts';
import type { UserVerifier } from './caller/verify-user.ts';
import type { WorkloadVerifier } from './caller/verify-workload.ts';
import type { DialRules } from './connection/dial.ts';
import type { Forwarder } from './http/forward.ts';
import type { Reporter } from './report.ts';
import type { HeadLimits } from './request.ts';

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

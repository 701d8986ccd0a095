import type { EgressMode } from './evaluate.ts';
import type { PolicyDocument } from './policy-document.ts';

/** The tenant boundary. Times are milliseconds since the epoch everywhere in `core`. */
export interface App {
  readonly id: string;
  readonly name: string;
  /** Holds for every use of every credential of the app. */
  readonly policy: PolicyDocument | null;
  /** What traffic without a grant gets; null: what ALTER_EGRESS_MODE says. */
  readonly egressMode: EgressMode | null;
  /** While it is set nothing of the app works at the proxy, and its objects are only read. */
  readonly archivedAt: number | null;
  readonly createdAt: number;
  readonly updatedAt: number;
}

import { AlterError } from '../../core/errors.ts';
import { NameTaken, NotDurable, RevisionConflict, StoreUnavailable } from './store.ts';

/** What a failure of the store is called towards callers. A bug stays what it is. */
export function fromStoreFailure(error: unknown): unknown {
  if (error instanceof RevisionConflict) return new AlterError('revision_conflict', { cause: error });
  if (error instanceof NameTaken) return new AlterError('conflict', { detail: 'The name is taken.', cause: error });
  if (error instanceof NotDurable) return new AlterError('not_durable', { cause: error });
  if (error instanceof StoreUnavailable) {
    return new AlterError('state_unavailable', { detail: 'The store could not be reached.', cause: error });
  }
  return error;
}

/** Awaits a call of the store; its failures arrive as AlterErrors. */
export async function asked<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    throw fromStoreFailure(error);
  }
}

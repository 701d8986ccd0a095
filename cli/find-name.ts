import type { AdminClient } from './admin-client.ts';
import { exitCodes, Failure } from './failure.ts';

/**
 * The name that has to be typed before an object goes. A token that may only delete can't look it up: with `--confirm` it
 * does not have to, and repeats what the object was called on the command line.
 */
export async function findName(
  admin: AdminClient,
  of: {
    readonly path: string;
    readonly field: 'slug' | 'name';
    readonly called: string;
    readonly isConfirmed: boolean;
  },
): Promise<string> {
  try {
    const name = (await admin.get(of.path))[of.field];
    return typeof name === 'string' ? name : of.called;
  } catch (error) {
    if (of.isConfirmed && error instanceof Failure && error.exit === exitCodes.forbidden) return of.called;
    throw error;
  }
}

import { type AdminClient, isObject } from './admin-client.ts';
import { exitCodes, Failure } from './failure.ts';
import type { JsonObject } from './present.ts';

/** The events of each page of the audit, to its end. A page may be empty. */
export async function* readAuditPages(
  admin: AdminClient,
  of: {
    /** `/v1/apps/{app}/audit` */
    readonly path: string;
    readonly query: Readonly<Record<string, string | number | null | undefined>>;
  },
): AsyncGenerator<readonly JsonObject[]> {
  let after: string | null = null;
  do {
    const { items, next } = await admin.get(of.path, { ...of.query, after });
    if (!Array.isArray(items) || !items.every(isObject))
      throw new Failure({
        exit: exitCodes.error,
        code: 'admin_answer_invalid',
        detail: 'The admin service answered with something that is not a list.',
        hint: 'Check --admin-url and ALTER_ADMIN_URL.',
      });
    yield items;
    after = typeof next === 'string' ? next : null;
  } while (after !== null);
}

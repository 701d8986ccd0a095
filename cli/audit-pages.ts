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
    /** The cursor to begin after. */
    readonly after?: string | null;
    /** Told of the cursor of the last event of each page, once whoever asked has taken the page. */
    readonly onTaken?: (cursor: string) => void;
  },
): AsyncGenerator<readonly JsonObject[]> {
  let after = of.after ?? null;
  do {
    const { items, next, cursor } = await admin.get(of.path, { ...of.query, after });
    if (!Array.isArray(items) || !items.every(isObject))
      throw new Failure({
        exit: exitCodes.error,
        code: 'admin_answer_invalid',
        detail: 'The admin service answered with something that is not a list.',
        hint: 'Check --admin-url and ALTER_ADMIN_URL.',
      });
    yield items;
    if (typeof cursor === 'string') of.onTaken?.(cursor);
    after = typeof next === 'string' ? next : null;
  } while (after !== null);
}

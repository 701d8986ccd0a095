import type { Page, PageQuery, Versioned } from '../vault/records/record.ts';

const pageSize = 1000;

/** A page of what matches, where the store has no index for it: all of the list is read, a page at a time. */
export async function listMatching<T>(
  list: (query: PageQuery) => Promise<Page<T>>,
  matches: (value: T) => boolean,
  { limit, offset }: PageQuery,
): Promise<Page<T>> {
  const items: Versioned<T>[] = [];
  let matching = 0;
  for (let from = 0; ; from += pageSize) {
    const page = await list({ limit: pageSize, offset: from });
    for (const item of page.items) {
      if (!matches(item.value)) continue;
      if (matching >= offset && items.length < limit) items.push(item);
      matching += 1;
    }
    if (page.items.length === 0 || from + pageSize >= page.total) return { items, total: matching };
  }
}

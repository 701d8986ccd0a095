import type { App } from '../core/app.ts';
import type { Page, PageQuery, Versioned } from './record.ts';

/** The apps, kept in the system space beside their wrapped keys. */
export class AppRepository {
  /** Throws `conflict` where the name is taken. */
  create(_of: { readonly name: string }): Promise<Versioned<App>> {
    throw new Error('not built yet');
  }

  /** Throws `not_found`. */
  get(_idOrName: string): Promise<Versioned<App>> {
    throw new Error('not built yet');
  }

  list(_query: PageQuery): Promise<Page<App>> {
    throw new Error('not built yet');
  }
}

import { AlterError } from '../../core/errors.ts';

/** A backup that is written or read in many requests is let go of after so long without one. */
const idleMs = 10 * 60_000;
const maxOpen = 4;

/** What is under way in this process, by its id and for the token that began it. */
export class BackupSessions<T> {
  readonly #open = new Map<string, { readonly owner: string; readonly work: T; usedAt: number; busy: boolean }>();

  /** Throws `rate_limited` where too many are under way. */
  begin(id: string, of: { readonly owner: string; readonly work: T; readonly now: number }): void {
    for (const [known, { usedAt }] of this.#open) if (of.now - usedAt > idleMs) this.#open.delete(known);
    if (this.#open.size >= maxOpen)
      throw new AlterError('rate_limited', { detail: `${maxOpen} backups are written or restored already.` });
    this.#open.set(id, { owner: of.owner, work: of.work, usedAt: of.now, busy: false });
  }

  /** One request at a time. Throws `not_found`, and `conflict` while another request is at it. */
  async with<R>(
    id: string,
    of: { readonly owner: string; readonly now: number },
    use: (work: T) => Promise<R>,
  ): Promise<R> {
    const session = this.#open.get(id);
    if (session === undefined || session.owner !== of.owner)
      throw new AlterError('not_found', {
        detail: 'There is no such backup under way in this process.',
        hint: 'Begin again. With several admin services, speak to one of them by its own address.',
      });
    if (session.busy) throw new AlterError('conflict', { detail: 'Another request of this backup is under way.' });
    session.busy = true;
    try {
      return await use(session.work);
    } finally {
      session.busy = false;
      session.usedAt = of.now;
    }
  }

  end(id: string): void {
    this.#open.delete(id);
  }
}

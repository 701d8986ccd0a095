import { exitCodes, Failure, usageFailure } from './failure.ts';
import { printable } from './printable.ts';
import { ask, canAsk } from './prompt.ts';

/**
 * For what cannot be undone: the name has to be typed, or given with `--confirm`.
 *
 * Throws with exit code 5 where it is another name, and 2 where nobody can be asked.
 */
export async function confirmByName(of: {
  /** What will happen, as a sentence. */
  readonly act: string;
  readonly name: string;
  /** The value of `--confirm`, or null. */
  readonly given: string | null;
}): Promise<void> {
  if (of.given === null && !canAsk())
    throw usageFailure(
      '--confirm is missing: this cannot be undone, and there is no terminal to ask at.',
      `Add --confirm ${of.name}`,
    );
  const typed = of.given ?? (await ask(`${printable(of.act)}\nType ${printable(of.name)} to go on: `)).trim();
  if (typed !== of.name)
    throw new Failure({
      exit: exitCodes.conflict,
      code: 'confirmation_mismatch',
      detail: `${of.given === null ? 'What was typed' : '--confirm'} is not "${of.name}"; nothing was changed.`,
    });
}

/** For what can be repaired: y or n, or `--yes`. Throws with exit code 1 on "no", and 2 where nobody can be asked. */
export async function confirmYes(of: { readonly act: string; readonly yes: boolean | undefined }): Promise<void> {
  if (of.yes === true) return;
  if (!canAsk())
    throw usageFailure('--yes is missing: this needs a confirmation, and there is no terminal to ask at.', 'Add --yes');
  const answer = (await ask(`${printable(of.act)} Go on? [y/N] `)).trim().toLowerCase();
  if (answer !== 'y' && answer !== 'yes')
    throw new Failure({ exit: exitCodes.error, code: 'cancelled', detail: 'Cancelled; nothing was changed.' });
}

import { adminFlags, BaseCommand, outputFlags } from '../../base-command.ts';
import { exitCodes, Failure } from '../../failure.ts';

const stepSize = 100;

export default class RootKeyRewrap extends BaseCommand {
  static override operation = 'rewrapKeys';
  static override description =
    'For a rotation: start every process with the new root key as ALTER_ROOT_KEY and the old one as ALTER_ROOT_KEY_PREVIOUS, run this, and take the old one away once nothing needs it. It can be interrupted and repeated; nothing is refused meanwhile.';
  static override examples = [{ description: 'With its progress on the terminal', command: 'alter root-key rewrap' }];
  static override flags = { ...outputFlags, ...adminFlags };

  async run(): Promise<void> {
    const { flags } = await this.parse(RootKeyRewrap);
    const admin = this.openAdmin(flags);
    const { total } = await admin.get('/v1/root-key');
    let [examined, rewrapped] = [0, 0];
    const failed: unknown[] = [];
    let after: unknown = null;
    do {
      const step = await admin.post('/v1/root-key/rewrap', { limit: stepSize, ...(after === null ? {} : { after }) });
      examined += Number(step.examined);
      rewrapped += Number(step.rewrapped);
      if (Array.isArray(step.failed)) failed.push(...step.failed);
      after = step.next;
      if (process.stderr.isTTY) process.stderr.write(`\r${examined} of ${String(total)} keys looked at`);
    } while (typeof after === 'string');
    if (process.stderr.isTTY) process.stderr.write('\n');
    const { key_id, others, previous_needed } = await admin.get('/v1/root-key');
    this.printResult({ key_id, examined, rewrapped, failed, others, previous_needed }, flags);
    if (failed.length > 0)
      throw new Failure({
        exit: exitCodes.error,
        code: 'state_invalid',
        detail: `${failed.length} keys can't be unwrapped, and stay as they are.`,
        hint: 'See "failed". The root key that wrapped them is not among those that the service has, or they were changed.',
      });
    if (previous_needed === false)
      this.note('Every key is wrapped by the current one. ALTER_ROOT_KEY_PREVIOUS and ALTER_KMS_URL_PREVIOUS may go.');
  }
}

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually } from '../support/in-parallel.ts';
import { Rig, type StoredSecret } from '../support/rig.ts';

/** Somebody sets the clock of the proxy back, so that a window of time is open again or a grant has not ended yet. */
describe('a proxy whose clock is set back', () => {
  let rig: Rig;
  let secret: StoredSecret;
  let key: string;
  let offsetMs = 0;
  const minutes = 60_000;

  beforeAll(async () => {
    rig = await Rig.open({ clock: () => Date.now() + offsetMs });
    secret = await rig.storeSecret({ hosts: [rig.authorityOf()], name: 'Stripe' });
    key = (await rig.mintKey()).key;
  });
  afterAll(() => rig?.close());

  const use = async (...headers: string[]): Promise<string> => {
    const url = `https://${rig.authorityOf()}/p`;
    const { stdout } = await rig.curl(['-sS', '-i', ...headers.flatMap((one) => ['-H', one]), url], { key });
    return stdout;
  };
  const ready = async (): Promise<string> => {
    const response = await fetch(`http://127.0.0.1:${rig.service.ops.port}/readyz`);
    return `${response.status} ${(await response.text()).trim()}`;
  };

  it('uses no credential as long as it is more than five minutes behind the last record, and says so', async () => {
    const grant = `X-Alter-Grant: ${secret.grantId}`;
    expect(await use(grant)).toContain('HTTP/1.1 200');
    const seen = rig.sink().requests.length;
    expect(seen).toBe(1);

    offsetMs = -20 * minutes;
    for (let i = 0; i < 3; i++) {
      const refused = await use(grant);
      expect(refused).toContain('HTTP/1.1 503');
      expect(refused).toContain('X-Alter-Error: state_unavailable');
      expect(refused).toMatch(/20 minutes behind the last record/);
    }
    expect(rig.sink().requests.length).toBe(seen);
    await eventually(async () => (await ready()) === '503 clock');

    offsetMs = -4 * minutes; // as much as the clocks of two machines may differ
    expect(await use(grant)).toContain('HTTP/1.1 200');
    expect(await ready()).toBe('200 ok');
  });
});

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually } from '../support/in-parallel.ts';
import { Rig } from '../support/rig.ts';
import { startStopwatch } from '../support/stopwatch.ts';
import { basic, exchangeRaw } from '../support/tunnel-client.ts';

/* The proxy as its own upstream: one connection would become as many as there are, and reach its admin service from inside. */
describe('a request that leads the proxy to itself', () => {
  let rig: Rig;
  let key: string;

  beforeAll(async () => {
    rig = await Rig.open({ alsoResolve: ['self.test'], settings: { ALTER_ALLOW_ADDRESSES: '127.0.0.0/8' } });
    key = (await rig.mintKey()).key;
  });
  afterAll(() => rig?.close());

  const ports = (): readonly number[] => [
    rig.proxyPort,
    Number(new URL(rig.service.adminUrl!).port),
    rig.service.ops.port,
  ];
  const hosts = ['self.test', '127.0.0.1', '127.0.0.2', '[::ffff:127.0.0.1]'];

  it.each(hosts)('is refused at once for each of its ports, and leaves nothing behind: %s', async (host) => {
    for (const port of ports()) {
      const elapsedMs = startStopwatch();
      const answer = await exchangeRaw(
        rig.proxyPort,
        `CONNECT ${host}:${port} HTTP/1.1\r\nHost: ${host}:${port}\r\nProxy-Authorization: ${basic('x', key)}\r\n\r\n`,
      );
      if (host === '127.0.0.2') {
        // Nothing of the proxy listens there; nobody else does either.
        expect(answer.status).toBeGreaterThanOrEqual(400);
      } else expect(answer.headers['x-alter-error']).toBe('address_forbidden');
      expect(elapsedMs()).toBeLessThan(1_000);
    }
    await eventually(() => rig.service.proxy!.connections() === 0);
  });

  it('is refused where a secret names it as its host, too', async () => {
    const target = `self.test:${rig.proxyPort}`;
    const secret = await rig.storeSecret({ hosts: [target] });
    const answer = await exchangeRaw(
      rig.proxyPort,
      `GET https://${target}/ HTTP/1.1\r\nHost: ${target}\r\nProxy-Authorization: ${basic('x', key)}\r\nX-Alter-Grant: ${secret.grantId}\r\n\r\n`,
    );
    expect(answer.headers['x-alter-error']).toBe('address_forbidden');
  });
});

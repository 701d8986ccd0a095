import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { eventually } from '../support/in-parallel.ts';
import { Rig } from '../support/rig.ts';
import { startStopwatch } from '../support/stopwatch.ts';
import { mustOpen } from '../support/tunnel-client.ts';

let rig: Rig;
beforeAll(async () => {
  rig = await Rig.open({ store: 'redis' });
});
afterAll(() => rig?.close());

it('an upload that goes on is cut within two seconds after its grant is revoked', async () => {
  const secret = await rig.storeSecret({ hosts: [rig.authorityOf()] });
  const { key } = await rig.mintKey();
  const { proxyPort } = rig;
  const target = rig.authorityOf();
  const ca = rig.service.authorityPem;
  const { socket } = await mustOpen({ proxyPort, target, key, serverName: 'a.test', ca });
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  socket.on('error', () => undefined);
  const head = ['POST /upload HTTP/1.1', `Host: ${target}`, 'Transfer-Encoding: chunked'];
  socket.write(`${[...head, `X-Alter-Grant: ${secret.grantId}`].join('\r\n')}\r\n\r\n`);
  const trickle = setInterval(() => socket.write('5\r\nbytes\r\n'), 50);
  const received = () => rig.sink().raw.toString('latin1');
  await eventually(() => received().includes(secret.canary) && received().includes('bytes'));
  await rig.admin('POST', `/grants/${secret.grantId}/revoke`);
  const elapsedMs = startStopwatch();
  await closed;
  clearInterval(trickle);
  expect(elapsedMs()).toBeLessThan(2_000);
  const length = rig.sink().raw.length;
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(rig.sink().raw.length).toBe(length);
  expect(received()).not.toContain('0\r\n\r\n');
});

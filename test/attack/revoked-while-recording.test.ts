import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { parseConfig } from '../../core/config.ts';
import { type Service, startService } from '../../serve/service.ts';
import { createLog } from '../../telemetry/log.ts';
import { eventually } from '../support/in-parallel.ts';
import { type Redis, startRedis } from '../support/redis.ts';
import { Rig } from '../support/rig.ts';
import { StallingRelay } from '../support/stalling-relay.ts';
import { AnswerReader, basic, connectTo } from '../support/tunnel-client.ts';

/*
 * Whoever can hold up the proxy's way to the store could use a grant once more after it was revoked: the verdict is made,
 * the record of it is on its way, the revocation arrives elsewhere, and then the record is let through.
 */
let redis: Redis;
let relay: StallingRelay;
let rig: Rig;
let admin: Service;
beforeAll(async () => {
  redis = await startRedis();
  relay = await StallingRelay.open(redis.port);
  rig = await Rig.open({
    settings: { ALTER_STORE_URL: `redis://127.0.0.1:${relay.port}`, ALTER_MAX_STALENESS: '400ms' },
  });
  const config = parseConfig({
    ALTER_STORE_URL: redis.url,
    ALTER_ROOT_KEY: rig.rootKey.toString('base64'),
    ALTER_ADMIN_LISTEN: '127.0.0.1:0',
    ALTER_OPS_LISTEN: '127.0.0.1:0',
  });
  const log = createLog({ level: 'silent' });
  admin = await startService({ config, rootKey: rig.rootKey, role: 'admin', log, clock: Date.now });
});
afterAll(async () => {
  relay.goOn();
  await admin?.close();
  await rig?.close();
  await relay?.close();
  await redis?.stop();
});

it('does not use a grant that was revoked while the record of its use was on its way', async () => {
  const secret = await rig.storeSecret({ hosts: [rig.authorityOf()] });
  const { key } = await rig.mintKey();
  const ask = async () => {
    const socket = await connectTo(rig.proxyPort);
    const reader = new AnswerReader(socket);
    const target = rig.authorityOf();
    const head = [`GET https://${target}/ HTTP/1.1`, `Host: ${target}`, `Proxy-Authorization: ${basic('x', key)}`];
    socket.write(`${[...head, `X-Alter-Grant: ${secret.grantId}`].join('\r\n')}\r\n\r\n`);
    return reader.next().finally(() => socket.destroy());
  };
  const uses = () => rig.sink().raw.toString('latin1').split(secret.canary).length - 1;
  await eventually(async () => (await ask()).status === 200);
  const before = uses();
  relay.stall();
  const held = ask();
  await sleep(100);
  const revoked = await fetch(`${admin.adminUrl}/v1/apps/${rig.appId}/grants/${secret.grantId}/revoke`, {
    method: 'POST',
    headers: { authorization: `Bearer ${rig.pat}` },
  });
  expect(revoked.ok).toBe(true);
  await sleep(400);
  relay.goOn();
  const answer = await held;
  expect(`${answer.status} ${answer.headers['x-alter-error']}`).toMatch(
    /^(403 grant_revoked|503 state_unavailable|503 audit_unavailable)$/,
  );
  expect(uses()).toBe(before);
});

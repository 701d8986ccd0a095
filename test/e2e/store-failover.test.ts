import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, jest } from '@jest/globals';
import type { Service } from '../../serve/service.ts';
import { eventually, insist } from '../support/in-parallel.ts';
import type { Redis } from '../support/redis.ts';
import { startSentinels } from '../support/redis-sentinel.ts';
import { Rig } from '../support/rig.ts';
import { Traffic } from '../support/traffic.ts';

// Sentinels on a machine that is busy with other tests may see a server down that is only slow, and fail over once more.
jest.retryTimes(2, { logErrorsBeforeRetry: true });

/*
 * The network parts: on one side the primary, an admin service and a proxy, on the other its replica, three Sentinels and
 * a proxy. The admin service goes on to store secrets and to revoke. Then the replica is promoted, and the network heals.
 */
const rounds = Number(process.env.TEST_FAILOVER_ROUNDS ?? 1);
const stalenessMs = 1_000;

it.each(Array.from({ length: rounds }, (_, index) => index + 1))(
  'loses nothing that was acknowledged when the primary is cut off with the admin and replaced (round %i)',
  async () => {
    const redis = await startSentinels({
      sentinels: 3,
      downAfterMs: 2_000, // with less, they replace a primary that a busy machine holds up
      behindRelay: true,
      server: { appendonly: true },
    });
    const relay = redis.relay!;
    const [primary, replica] = redis.servers;
    const settings = { ALTER_STORE_DURABILITY: 'wait:1:300', ALTER_MAX_STALENESS: `${stalenessMs}ms` };
    // On the side of the primary; and, by way of the Sentinels, on the other.
    const rig = await Rig.open({ settings: { ...settings, ALTER_STORE_URL: primary.url } });
    const others: Service[] = [];
    try {
      const other = await rig.startBeside('proxy', { ALTER_STORE_URL: redis.url });
      others.push(other);
      const secret = await insist(() => rig.storeSecret({ hosts: [rig.authorityOf()] }));
      const { key } = await insist(() => rig.mintKey());
      const traffic = new Traffic({
        rig,
        secret,
        key,
        proxyPorts: [rig.proxyPort, other.proxy!.address.port],
      });
      await eventually(() => traffic.answers.filter(({ status }) => status === 200).length > 10);

      relay.stall();
      const cutAt = performance.now();
      const acknowledged: string[] = [];
      const refusals = new Set<string>();
      let number = 0;
      const until = cutAt + 3_000;
      while (performance.now() < until) {
        const name = `during ${number++}`;
        try {
          const made = await rig.admin<{ id: string }>('POST', '/managed-secrets', { name, credential_value: 'x' });
          acknowledged.push(made.id);
        } catch (error) {
          refusals.add(/"code":"([a-z_]+)"/.exec(String(error))?.[1] ?? String(error));
        }
      }
      const revoked = await rig.admin('POST', `/grants/${secret.grantId}/revoke`).then(
        () => true,
        () => false,
      );
      const lastOnMinority = traffic.answers.findLast(({ status, port }) => status === 200 && port === rig.proxyPort)!;
      await eventually(async () => (await redis.primary()) === replica);
      relay.goOn();
      await eventually(
        async () => (await primary.cli('INFO', 'replication')).includes('master_link_status:up'),
        20_000,
      );
      // Until then a replica was missing on that side too: with two servers, waiting for one means to stop without it.
      const healedAt = performance.now();
      const isServed = () =>
        traffic.firstAfter(healedAt, ({ status, port }) => status === 200 && port !== rig.proxyPort) !== undefined;
      // Where the proxy on the other side has seen a write that nobody acknowledged, the state of the replica is older to it.
      const isRefusedAsOlder = () =>
        traffic.firstAfter(healedAt, ({ code, port }) => code === 'state_rollback' && port !== rig.proxyPort) !==
        undefined;
      await eventually(() => isServed() || isRefusedAsOlder());
      const after = await rig.startBeside('admin', { ALTER_STORE_URL: redis.url });
      others.push(after);
      await eventually(async () => {
        if (isServed()) return true;
        const headers = { authorization: `Bearer ${rig.pat}`, 'content-type': 'application/json' };
        const states = await fetch(`${after.adminUrl}/v1/state`, { headers });
        if (!states.ok) return false; // it may not have found the new primary yet
        for (const { app_id } of ((await states.json()) as { items: { app_id: string | null }[] }).items) {
          const body = JSON.stringify({ app_id });
          await fetch(`${after.adminUrl}/v1/state/reanchor`, { method: 'POST', headers, body });
        }
        return isServed();
      });
      await traffic.stop();

      // Nothing was acknowledged that only the primary had, and every one that was is there.
      for (const id of acknowledged) {
        const response = await fetch(`${after.adminUrl}/v1/apps/${rig.appId}/managed-secrets/${id}`, {
          headers: { authorization: `Bearer ${rig.pat}` },
        });
        expect(response.status).toBe(200);
      }
      expect(
        [...refusals].every((code) => ['not_durable', 'state_unavailable', 'audit_unavailable'].includes(code)),
      ).toBe(true);
      expect(refusals.size).toBeGreaterThan(0);
      // A record that no replica has is none: the proxy beside the primary let nothing out from the moment of the cut.
      expect(lastOnMinority.askedAt).toBeLessThan(cutAt + 300);
      expect(revoked).toBe(false);
    } finally {
      for (const one of others) await one.close();
      await rig.close();
      await redis.stop();
    }
  },
);

/** How far the stream of changes has come. */
async function offsetOf(server: Redis, field: string): Promise<number> {
  return Number(new RegExp(`^${field}:(\\d+)`, 'm').exec(await server.cli('INFO', 'replication'))?.[1] ?? -1);
}

it('is refused by who saw what the promoted replica has not, also after a restart, until an operator accepts it', async () => {
  const redis = await startSentinels();
  const directory = await mkdtemp(join(tmpdir(), 'alter-failover-'));
  const marks = { ALTER_STATE_MARKS_FILE: join(directory, 'marks.json') };
  const rig = await Rig.open({ settings: { ...marks, ALTER_STORE_URL: redis.url } });
  try {
    const secret = await rig.storeSecret({ hosts: [rig.authorityOf()] });
    const { key } = await rig.mintKey();
    const send = async (): Promise<string> => {
      const words = ['-D', '-', '-H', `X-Alter-Grant: ${secret.grantId}`, `https://${rig.authorityOf()}/x`];
      const { stdout } = await rig.curl(words, { key });
      return /x-alter-error: (\w+)/i.exec(stdout)?.[1] ?? (stdout.includes('HTTP/1.1 200') ? 'ok' : 'nothing');
    };
    const [primary, replica] = redis.servers;
    expect(await send()).toBe('ok');
    // All of it: for up to a second after its start, a replica that is called online gets nothing yet.
    const written = await offsetOf(primary, 'master_repl_offset');
    await eventually(async () => (await offsetOf(replica, 'slave_repl_offset')) >= written);

    // From here on the replica gets nothing, and a primary that waits for nobody acknowledges all the same.
    await primary.cli('ACL', 'SETUSER', 'default', '-psync', '-sync');
    await primary.cli('CLIENT', 'KILL', 'TYPE', 'replica');
    await eventually(async () => (await replica.cli('INFO', 'replication')).includes('master_link_status:down'));
    await rig.admin('POST', `/grants/${secret.grantId}/revoke`);
    await eventually(async () => (await send()) === 'grant_revoked');
    rig.sink().forget();

    await redis.failOver();
    expect(await redis.primary()).toBe(replica);
    await eventually(async () => (await send()) === 'state_rollback', 15_000);
    await insist(() => rig.restart()); // the server that was replaced is empty while it copies the new primary
    expect(await send()).toBe('state_rollback');
    expect(rig.sink().raw.toString('latin1')).not.toContain(secret.canary);

    const { items } = await rig.admin<{ items: { app_id: string | null }[] }>('GET', '/v1/state');
    for (const { app_id } of items) await rig.admin('POST', '/v1/state/reanchor', { app_id });
    await eventually(async () => (await send()) === 'ok');
    await rig.admin('POST', `/grants/${secret.grantId}/revoke`);
    await eventually(async () => (await send()) === 'grant_revoked');
  } finally {
    await rig.close();
    await redis.stop();
    await rm(directory, { recursive: true });
  }
}, 60_000);

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { inParallel } from '../support/in-parallel.ts';
import { RawUpstream } from '../support/raw-upstream.ts';
import { Rig } from '../support/rig.ts';
import { mustOpen, type OpenedTunnel } from '../support/tunnel-client.ts';
import { behaviours, ok } from './poisonous-answers.ts';

/*
 * Queue poisoning: an upstream gives more, less or other answers than it was asked for, while others ask it as well. Victims
 * are another app with a secret of its own for the same host, and another caller of the attacked app with the same grant.
 * VICTIM_REQUESTS sets how many are made; each has to get its own answer. (To the caller who was lied to, the upstream can
 * say whatever it likes.)
 */
const wanted = Number(process.env.VICTIM_REQUESTS ?? 160);

interface Party {
  readonly key: string;
  readonly grantId: string;
}

describe('an upstream that poisons its connections', () => {
  let rig: Rig;
  let upstream: RawUpstream;
  let host: string;
  let attacker: Party;
  let victim: Party;
  let neighbour: Party;

  beforeAll(async () => {
    rig = await Rig.open({
      alsoAllow: '127.0.0.1/32',
      settings: { ALTER_LOG_LEVEL: 'error', ALTER_AUDIT: 'buffered' },
    });
    upstream = await RawUpstream.open(rig.authority);
    upstream.keep = false;
    upstream.behave = ({ socket, ...of }) => {
      let waiting = '';
      socket.on('data', (chunk: Buffer) => {
        waiting += chunk.toString('latin1');
        for (let end = waiting.indexOf('\r\n\r\n'); end !== -1; end = waiting.indexOf('\r\n\r\n')) {
          const [, kind, id] = /^[A-Z]+ \/(bad|own)\/(\d+) /.exec(waiting) ?? [];
          waiting = waiting.slice(end + 4);
          if (kind === 'own') socket.write(ok(`for ${id}`));
          else
            void behaviours[Number(id)]!.answer({ ...of, socket } as Parameters<(typeof behaviours)[0]['answer']>[0]);
        }
      });
    };
    host = `a.test:${upstream.port}`;
    const first = await rig.storeSecret({ hosts: [host] });
    attacker = { key: (await rig.mintKey()).key, grantId: first.grantId };
    neighbour = { key: (await rig.mintKey()).key, grantId: first.grantId };
    const app = await rig.admin<{ id: string }>('POST', '/v1/apps', { name: 'victim' });
    const under = `/v1/apps/${app.id}`;
    const secret = await rig.admin<{ id: string; grant_id: string }>('POST', `${under}/managed-secrets`, {
      name: 'its own',
      credential_value: 'canary-of-the-victim',
    });
    await rig.admin('PUT', `${under}/managed-secrets/${secret.id}/allowed-hosts`, { hosts: [host] });
    const { key } = await rig.admin<{ key: string }>('POST', `${under}/keys`, {
      name: 'victim',
      scopes: ['proxy:execute'],
    });
    victim = { key, grantId: secret.grant_id };
  });
  afterAll(async () => {
    await upstream?.close();
    await rig?.close();
  });

  const tunnelOf = (party: Party): Promise<Extract<OpenedTunnel, { kind: 'open' }>> =>
    mustOpen({
      proxyPort: rig.proxyPort,
      target: host,
      key: party.key,
      serverName: 'a.test',
      ca: rig.service.authorityPem,
      headers: [`X-Alter-Grant: ${party.grantId}`],
    });
  const ask = (path: string, method = 'GET'): string => `${method} ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`;

  it(`gives ${wanted} of ${wanted} victims' requests their own answers, and its victims nothing else`, async () => {
    let attacks = 0;
    let next = 0;
    let right = 0;
    const wrong: unknown[] = [];
    const goesOn = (): boolean => right + wrong.length < wanted || attacks < behaviours.length;

    const attack = async (offset: number): Promise<void> => {
      for (let i = offset; goesOn(); i += 2) {
        const index = i % behaviours.length;
        const { method } = behaviours[index]!;
        const tunnel = await tunnelOf(attacker);
        tunnel.socket.write(ask(`/bad/${index}`, method));
        await tunnel.reader.next({ bodyless: method === 'HEAD' });
        tunnel.socket.destroy();
        attacks++;
      }
    };
    const suffer = async (party: Party): Promise<void> => {
      const tunnel = await tunnelOf(party);
      while (goesOn()) {
        const id = next++;
        tunnel.socket.write(ask(`/own/${id}`));
        const { status, body } = await tunnel.reader.next();
        if (status === 200 && body === `for ${id}`) right++;
        else {
          wrong.push({ id, status, body });
          break;
        }
      }
      tunnel.socket.destroy();
    };
    await inParallel(
      [
        () => attack(0),
        () => attack(1),
        ...[victim, victim, victim, neighbour, neighbour].map((party) => () => suffer(party)),
      ],
      7,
      (work) => work(),
    );
    expect(wrong).toEqual([]);
    expect(right).toBeGreaterThanOrEqual(wanted);
    expect(attacks).toBeGreaterThanOrEqual(behaviours.length);
  }, 600_000);
});

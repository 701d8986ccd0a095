import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { inParallel } from '../support/in-parallel.ts';
import { Rig, type StoredSecret } from '../support/rig.ts';
import { openTunnel } from '../support/tunnel-client.ts';

/*
 * Domain fronting: CONNECT target, SNI, Host and request target name different hosts, in the hope that one part of the
 * proxy decides about one of them and another part dials, or signs for, the other.
 */

type Host = 'a' | 'b' | 'x';
const names: Record<Host, string> = { a: 'a.test', b: 'b.test', x: 'x.test' };
const serverNames = ['a', 'b', 'x', 'none', 'address', 'wildcard'] as const;
const hostHeaders = ['a', 'b', 'x', 'none', 'twice', 'list', 'other port', 'user info', 'empty'] as const;
const forms = ['origin', 'absolute a', 'absolute x'] as const;
const versions = ['1.1', '1.0'] as const;
const namings = ['on CONNECT', 'inside'] as const;

interface Combination {
  readonly naming: (typeof namings)[number];
  readonly connect: Host;
  readonly serverName: (typeof serverNames)[number];
  readonly host: (typeof hostHeaders)[number];
  readonly form: (typeof forms)[number];
  readonly version: (typeof versions)[number];
}

describe('requests that name several hosts', () => {
  let rig: Rig;
  let secretA: StoredSecret;
  let secretB: StoredSecret;
  let key: string;

  beforeAll(async () => {
    rig = await Rig.open({ sinks: Object.values(names), settings: { ALTER_EGRESS_MODE: 'deny' } });
    secretA = await rig.storeSecret({ hosts: [rig.authorityOf('a.test')] });
    secretB = await rig.storeSecret({ hosts: [rig.authorityOf('b.test')] });
    key = (await rig.mintKey()).key;
  });
  beforeEach(() => {
    for (const name of Object.values(names)) rig.sink(name).forget();
  });
  afterAll(() => rig?.close());

  const serverNameOf = (which: Combination['serverName']): string | null =>
    which === 'none' ? null : which === 'address' ? '127.0.0.1' : which === 'wildcard' ? '*.a.test' : names[which];

  const hostLinesOf = (which: Combination['host']): string[] => {
    const a = rig.authorityOf('a.test');
    switch (which) {
      case 'none':
        return [];
      case 'twice':
        return [`Host: ${a}`, `Host: ${rig.authorityOf('x.test')}`];
      case 'list':
        return [`Host: ${a}, ${rig.authorityOf('x.test')}`];
      case 'other port':
        return ['Host: a.test:444'];
      case 'user info':
        return [`Host: u@${a}`];
      case 'empty':
        return ['Host: '];
      default:
        return [`Host: ${rig.authorityOf(names[which])}`];
    }
  };

  const requestOf = ({ host, form, version, naming }: Combination): string => {
    const target =
      form === 'origin' ? '/p' : `https://${rig.authorityOf(form === 'absolute a' ? 'a.test' : 'x.test')}/p`;
    const lines = [
      `GET ${target} HTTP/${version}`,
      ...hostLinesOf(host),
      ...(naming === 'inside' ? [`X-Alter-Grant: ${secretA.grantId}`] : []),
    ];
    return `${lines.join('\r\n')}\r\n\r\n`;
  };

  const isHonest = (of: Combination): boolean =>
    of.connect === 'a' &&
    (of.serverName === 'a' || of.serverName === 'none') &&
    (of.host === 'a' || (of.host === 'none' && of.version === '1.0')) &&
    of.form !== 'absolute x';

  const open = (of: Combination) =>
    openTunnel({
      proxyPort: rig.proxyPort,
      target: rig.authorityOf(names[of.connect]),
      key,
      serverName: serverNameOf(of.serverName),
      ca: rig.service.authorityPem,
      headers: of.naming === 'on CONNECT' ? [`X-Alter-Grant: ${secretA.grantId}`] : [],
    });

  const expectOnlyA = (requests: number): void => {
    expect(rig.sink('a.test').requests).toHaveLength(requests);
    for (const seen of rig.sink('a.test').requests)
      expect(seen.all('authorization')).toEqual([`Bearer ${secretA.canary}`]);
    for (const other of ['b.test', 'x.test']) {
      expect(rig.sink(other).accepts).toBe(0);
      expect(rig.sink(other).raw).toHaveLength(0);
    }
    expect(rig.sink('a.test').raw.includes(secretB.canary)).toBe(false);
  };

  it('reach the granted host only where every name agrees, and no host at all elsewhere (first request)', async () => {
    const all: Combination[] = [];
    for (const naming of namings)
      for (const connect of ['a', 'b', 'x'] as const)
        for (const serverName of serverNames)
          for (const host of hostHeaders)
            for (const form of forms)
              for (const version of versions) all.push({ naming, connect, serverName, host, form, version });
    expect(all.length).toBeGreaterThanOrEqual(1_400);

    const wrong: string[] = [];
    await inParallel(all, 24, async (combination) => {
      const tunnel = await open(combination);
      let status = 0;
      if (tunnel.kind === 'refused') status = tunnel.answer.status;
      if (tunnel.kind === 'open') {
        tunnel.socket.write(requestOf(combination));
        status = (await tunnel.reader.next()).status;
        tunnel.socket.destroy();
      }
      const fine = isHonest(combination)
        ? status === 200
        : tunnel.kind === 'failed-handshake' || [0, 400, 403, 421].includes(status); // 0: closed without a word
      if (!fine) wrong.push(`${JSON.stringify(combination)} answered ${status}`);
    });
    expect(wrong).toEqual([]);
    expectOnlyA(all.filter(isHonest).length);
  });

  it('are refused as the second request of a tunnel whose first one was honest', async () => {
    const all: Combination[] = [];
    for (const naming of namings)
      for (const host of hostHeaders)
        for (const form of forms)
          for (const version of versions) all.push({ naming, connect: 'a', serverName: 'a', host, form, version });
    const wrong: string[] = [];
    await inParallel(all, 16, async (combination) => {
      const tunnel = await open(combination);
      if (tunnel.kind !== 'open') throw new Error(`the tunnel did not open: ${tunnel.kind}`);
      tunnel.socket.write(requestOf({ ...combination, host: 'a', form: 'origin', version: '1.1' }));
      const first = (await tunnel.reader.next()).status;
      tunnel.socket.write(requestOf(combination));
      const second = (await tunnel.reader.next()).status;
      tunnel.socket.destroy();
      const fine = first === 200 && (isHonest(combination) ? second === 200 : [400, 403, 421].includes(second));
      if (!fine) wrong.push(`${JSON.stringify(combination)} answered ${first} and ${second}`);
    });
    expect(wrong).toEqual([]);
    expectOnlyA(all.length + all.filter(isHonest).length);
  });

  it('are refused in absolute form on the proxy port, where Host names another host than the URL', async () => {
    const { basic, exchangeRaw } = await import('../support/tunnel-client.ts');
    for (const host of [rig.authorityOf('x.test'), 'a.test:444', `u@${rig.authorityOf()}`]) {
      const answer = await exchangeRaw(
        rig.proxyPort,
        `GET https://${rig.authorityOf()}/p HTTP/1.1\r\nHost: ${host}\r\nProxy-Authorization: ${basic('x', key)}\r\nX-Alter-Grant: ${secretA.grantId}\r\n\r\n`,
      );
      expect([400, 421]).toContain(answer.status);
    }
    expectOnlyA(0);
  });
});

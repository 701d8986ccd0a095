import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Rig, type StoredSecret } from '../support/rig.ts';
import { mustOpen } from '../support/tunnel-client.ts';

/*
 * A session that is resumed shows no certificate. The ticket of one host, or of one caller, must not stand for the proof
 * that another one is owed.
 */
describe('a TLS session inside a tunnel', () => {
  let rig: Rig;
  let secret: StoredSecret;
  let key: string;

  beforeAll(async () => {
    rig = await Rig.open({ sinks: ['a.test', 'b.test'] });
    secret = await rig.storeSecret({ hosts: [rig.authorityOf('a.test'), rig.authorityOf('b.test')] });
    key = (await rig.mintKey()).key;
  });
  afterAll(() => rig?.close());

  const open = async (host: string, options: { readonly key?: string; readonly session?: Buffer } = {}) => {
    const target = rig.authorityOf(host);
    const tunnel = await mustOpen({
      proxyPort: rig.proxyPort,
      ...{ target, key, serverName: host, ca: rig.service.authorityPem },
      ...options,
    });
    const ticket = tunnel.socket.isSessionReused() ? null : once(tunnel.socket, 'session');
    tunnel.socket.write(`GET / HTTP/1.1\r\nHost: ${target}\r\nX-Alter-Grant: ${secret.grantId}\r\n\r\n`);
    const { status } = await tunnel.reader.next();
    const [session] = ((await ticket) ?? []) as Buffer[];
    const isResumed = tunnel.socket.isSessionReused();
    const names = tunnel.socket.getPeerCertificate().subjectaltname;
    tunnel.socket.destroy();
    return { status, isResumed, names, session };
  };

  it('is resumed at the same host', async () => {
    const { session } = await open('a.test');
    expect(await open('a.test', { session: session! })).toMatchObject({ status: 200, isResumed: true });
  });

  it('is not resumed at another host, which shows its own certificate', async () => {
    const { session } = await open('a.test');
    const other = await open('b.test', { session: session! });
    expect(other).toMatchObject({ status: 200, isResumed: false, names: 'DNS:b.test' });
  });

  it('says nothing about who is calling: the key of the CONNECT does', async () => {
    const { session } = await open('a.test');
    const before = rig.sink('a.test').accepts;
    const another = (await rig.mintKey()).key;
    expect(await open('a.test', { key: another, session: session! })).toMatchObject({ status: 200, isResumed: true });
    expect(rig.sink('a.test').accepts).toBe(before + 1);
  });
});

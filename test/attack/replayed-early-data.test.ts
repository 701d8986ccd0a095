import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Rig, run } from '../support/rig.ts';

/*
 * TLS 1.3 early data can be recorded and sent again by anybody on the way (RFC 8446, section 8): a replayed request would
 * use the credential once more. The proxy takes none.
 */
describe('early data', () => {
  let rig: Rig;
  let key: string;

  beforeAll(async () => {
    rig = await Rig.open();
    await rig.storeSecret({ hosts: [rig.authorityOf()] });
    key = (await rig.mintKey()).key;
  });
  afterAll(() => rig?.close());

  it('is refused on a session that is resumed, so that a request in it is never seen', async () => {
    const session = join(rig.directory, 'session.pem');
    const request = join(rig.directory, 'request.txt');
    writeFileSync(request, `GET /early HTTP/1.1\r\nHost: ${rig.authorityOf()}\r\n\r\n`);
    const connect = (...more: string[]) =>
      run(
        'openssl',
        [
          ...['s_client', '-proxy', `127.0.0.1:${rig.proxyPort}`, '-proxy_user', 'x', '-proxy_pass', `pass:${key}`],
          ...['-connect', rig.authorityOf(), '-servername', 'a.test', '-CAfile', rig.caFile, '-tls1_3', ...more],
        ],
        { PATH: process.env.PATH ?? '' },
        `GET /late HTTP/1.1\r\nHost: ${rig.authorityOf()}\r\nConnection: close\r\n\r\n`,
      );
    // With -ign_eof the client stays until the answer is there, and with it the tickets that come after the handshake.
    const first = await connect('-ign_eof', '-sess_out', session);
    expect(first.stdout).toContain('Verify return code: 0 (ok)');
    expect(existsSync(session)).toBe(true);
    expect(first.stdout).toContain('Max Early Data: 0');

    const second = await connect('-ign_eof', '-sess_in', session, '-early_data', request);
    expect(second.stdout).toContain('Reused, TLSv1.3');
    expect(second.stdout).toMatch(/Early data was (?:not sent|rejected)/);
    expect(rig.sink().requests.map(({ url }) => url)).toEqual(['/late', '/late']);
  });
});

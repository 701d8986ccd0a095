import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Rig, type StoredSecret } from '../support/rig.ts';
import { basic, exchangeRaw, mustOpen } from '../support/tunnel-client.ts';

/*
 * Getting a credential sent in the clear, where anybody on the way can read it: by asking for the http:// address of an
 * allowed host, by a scheme in other letters, or by an upstream that answers with a redirect to it.
 */
describe('a target without TLS', () => {
  let rig: Rig;
  let secret: StoredSecret;
  let key: string;

  beforeAll(async () => {
    rig = await Rig.open();
    secret = await rig.storeSecret({ hosts: [rig.authorityOf()] });
    key = (await rig.mintKey()).key;
  });
  beforeEach(() => rig.sink().forget());
  afterAll(() => rig?.close());

  const ask = (target: string, headers: readonly string[] = [`X-Alter-Grant: ${secret.grantId}`]) =>
    exchangeRaw(
      rig.proxyPort,
      `${[`GET ${target} HTTP/1.1`, `Host: ${rig.authorityOf()}`, `Proxy-Authorization: ${basic('x', key)}`, ...headers].join('\r\n')}\r\n\r\n`,
    );

  it.each(['http', 'HTTP', 'hTTp'])('gets no credential, and not even a connection (%s://)', async (scheme) => {
    const answer = await ask(`${scheme}://${rig.authorityOf()}/p`);
    expect([answer.status, answer.headers['x-alter-error']]).toEqual([403, 'plaintext_forbidden']);
    expect(rig.sink().accepts).toBe(0);
  });

  it.each([
    ['ws', 400],
    ['ftp', 400],
    ['file', 400],
    ['', 400],
  ])('is refused for the scheme "%s"', async (scheme, status) => {
    expect((await ask(`${scheme === '' ? '' : `${scheme}:`}//${rig.authorityOf()}/p`)).status).toBe(status);
    expect(rig.sink().accepts).toBe(0);
  });

  it('gets no credential inside a tunnel either, where the request line asks for http://', async () => {
    const tunnel = await mustOpen({
      proxyPort: rig.proxyPort,
      target: rig.authorityOf(),
      key,
      serverName: 'a.test',
      ca: rig.service.authorityPem,
    });
    tunnel.socket.write(
      `GET http://${rig.authorityOf()}/p HTTP/1.1\r\nHost: ${rig.authorityOf()}\r\nX-Alter-Grant: ${secret.grantId}\r\n\r\n`,
    );
    expect((await tunnel.reader.next()).status).toBe(421);
    tunnel.socket.destroy();
    expect(rig.sink().accepts).toBe(0);
  });

  it('is not followed to where an upstream redirects, and the hop that the client makes is judged anew', async () => {
    rig.sink().answer = (_, res) => {
      res.writeHead(301, { location: `http://${rig.authorityOf()}/elsewhere` }).end();
    };
    const { stdout } = await rig.curl(
      [
        '-L',
        '-x',
        `http://x:${key}@127.0.0.1:${rig.proxyPort}`,
        '-H',
        `X-Alter-Grant: ${secret.grantId}`,
        `https://${rig.authorityOf()}/p`,
      ],
      { key },
    );
    rig.sink().answer = (_, res) => {
      res.end('ok');
    };
    expect(JSON.parse(stdout)).toMatchObject({ code: 'plaintext_forbidden' });
    expect(rig.sink().requests.map((request) => request.url)).toEqual(['/p']);
  });
});

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { eventually } from '../support/in-parallel.ts';
import { Rig, run, type StoredSecret, storeKinds } from '../support/rig.ts';
import { startStopwatch } from '../support/stopwatch.ts';
import { basic, exchangeRaw, mustOpen } from '../support/tunnel-client.ts';

describe.each(storeKinds)('an injected request, with state in %s', (store) => {
  let rig: Rig;
  let secret: StoredSecret;
  let key: string;
  const printed: string[] = [];

  beforeAll(async () => {
    rig = await Rig.open({ store, sinks: ['a.test', 'b.test', 'free.test'] });
    secret = await rig.storeSecret({ hosts: [rig.authorityOf()], name: 'Stripe' });
    key = (await rig.mintKey()).key;
  });
  beforeEach(() => {
    for (const name of ['a.test', 'b.test', 'free.test']) rig.sink(name).forget();
  });
  afterAll(() => rig?.close());

  const curl = async (args: readonly string[], proxy: { key: string; user?: string } = { key }) => {
    const result = await rig.curl(args, proxy);
    printed.push(result.stdout, result.stderr);
    return result;
  };
  const url = (path = '/v1/charges', host = 'a.test'): string => `https://${rig.authorityOf(host)}${path}`;
  const grant = (): string => `X-Alter-Grant: ${secret.grantId}`;
  const tunnel = (headers: readonly string[] = [], user = 'x') =>
    mustOpen({
      proxyPort: rig.proxyPort,
      target: rig.authorityOf(),
      key,
      user,
      headers,
      serverName: 'a.test',
      ca: rig.service.authorityPem,
    });
  const get = (line = ''): string =>
    `GET /p HTTP/1.1\r\nHost: ${rig.authorityOf()}\r\n${line === '' ? '' : `${line}\r\n`}\r\n`;

  it('carries the credential to the upstream, while curl neither sends nor sees it', async () => {
    const { code, stdout, stderr } = await curl(['-v', '-H', grant(), url('/v1/charges?limit=3')]);
    expect([code, stdout]).toEqual([0, 'ok']);
    expect(stderr).toContain('200 OK');
    const [seen] = rig.sink().requests;
    expect(seen?.all('authorization')).toEqual([`Bearer ${secret.canary}`]);
    expect(seen?.url).toBe('/v1/charges?limit=3');
    expect(stdout + stderr).not.toContain(secret.canary);
  });

  it("works for Node's own fetch with nothing but two variables", async () => {
    const script = `const r = await fetch(${JSON.stringify(url())}, { headers: { 'X-Alter-Grant': ${JSON.stringify(secret.grantId)} }, method: 'POST', body: 'amount=1' }); console.log(r.status, await r.text())`;
    const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script], {
      HTTPS_PROXY: `http://x:${key}@127.0.0.1:${rig.proxyPort}`,
      NODE_USE_ENV_PROXY: '1',
      NODE_EXTRA_CA_CERTS: rig.caFile,
    });
    expect(stdout.trim()).toBe('200 ok');
    expect(rig.sink().requests[0]?.all('authorization')).toEqual([`Bearer ${secret.canary}`]);
    expect(rig.sink().requests[0]?.body.toString()).toBe('amount=1');
  });

  it.each([
    [
      'basic_auth',
      { credential_type: 'basic_auth', credentials: { username: 'user', password: 'pass word' } },
      'authorization',
      `Basic ${btoa('user:pass word')}`,
    ],
    [
      'header_key',
      { credential_type: 'header_key', credential_value: 'k-123', injection_header: 'DD-API-KEY' },
      'dd-api-key',
      'k-123',
    ],
    [
      'a format of its own',
      { credential_value: 'k-456', injection_format: 'Token token={token}' },
      'authorization',
      'Token token=k-456',
    ],
  ])('injects %s', async (_, body, header, value) => {
    const other = await rig.storeSecret({ hosts: [rig.authorityOf()], body });
    expect((await curl(['-H', `X-Alter-Grant: ${other.grantId}`, url()])).stdout).toBe('ok');
    expect(rig.sink().requests[0]?.all(header)).toEqual([value]);
    await rig.admin('DELETE', `/managed-secrets/${other.id}`);
  });

  it('takes the grant inside the tunnel, on the CONNECT, in absolute form, or in the proxy user name', async () => {
    const inside = await tunnel();
    inside.socket.write(get(grant()));
    expect((await inside.reader.next()).status).toBe(200);
    const onConnect = await tunnel([grant()]);
    onConnect.socket.write(get());
    expect((await onConnect.reader.next()).status).toBe(200);
    const absolute = await exchangeRaw(
      rig.proxyPort,
      `GET ${url('/p')} HTTP/1.1\r\nHost: ${rig.authorityOf()}\r\nProxy-Authorization: ${basic('x', key)}\r\n${grant()}\r\n\r\n`,
    );
    expect(absolute.status).toBe(200);
    for (const user of [secret.grantId, 'auto', `${secret.grantId},01900000-0000-7000-8000-000000000000`]) {
      expect((await curl([url()], { key, user })).stdout).toBe('ok');
    }
    expect(rig.sink().requests).toHaveLength(6);
    for (const seen of rig.sink().requests) expect(seen.all('authorization')).toEqual([`Bearer ${secret.canary}`]);
    inside.socket.destroy();
    onConnect.socket.destroy();
  });

  it('is refused where several offered grants fit, with their labels', async () => {
    const second = await rig.admin<{ grant_id: string }>('POST', `/managed-secrets/${secret.id}/grants`, {
      principal_type: 'system',
      label: 'second',
    });
    const { stdout } = await curl([url()], { key, user: 'auto' });
    expect(JSON.parse(stdout)).toMatchObject({ code: 'ambiguous_grant', status: 409 });
    expect(stdout).toContain('second');
    expect(stdout).toContain('default');
    await rig.admin('POST', `/grants/${second.grant_id}/revoke`);
    await eventually(async () => (await curl([url()], { key, user: 'auto' })).stdout === 'ok');
  });

  it('answers a client without a key with 407 and takes the key on the same connection', async () => {
    const { stderr, stdout } = await run(
      'curl',
      ['-sSv', '--proxy-anyauth', '--cacert', rig.caFile, '-H', grant(), url()],
      {
        PATH: '/usr/bin:/bin',
        HTTPS_PROXY: `http://x:${key}@127.0.0.1:${rig.proxyPort}`,
      },
    );
    expect(stdout).toBe('ok');
    expect(stderr).toContain('407 Proxy Authentication Required');
    expect(stderr.match(/Connected to/g)).toHaveLength(1);
    printed.push(stderr);
  });

  it.each([
    ['an unknown key', () => `alter_rk_${'0'.repeat(65)}`, 'x'],
    ['a mistyped key', () => `${key.slice(0, -1)}${key.endsWith('A') ? 'B' : 'A'}`, 'x'],
    ['a PAT', () => rig.pat, 'x'],
  ])('is refused with 407 for %s', async (_, wrong, user) => {
    const answer = await exchangeRaw(
      rig.proxyPort,
      `CONNECT ${rig.authorityOf()} HTTP/1.1\r\nHost: ${rig.authorityOf()}\r\nProxy-Authorization: ${basic(user, wrong())}\r\n\r\n`,
    );
    expect([answer.status, answer.headers['x-alter-error'], answer.headers['proxy-authenticate']]).toEqual([
      407,
      'key_invalid',
      'Basic realm="alter"',
    ]);
  });

  it('sends what names no grant on untouched: blind where no secret allows the host, without a credential where one does', async () => {
    const blind = await rig
      .curl(['--cacert', join(rig.directory, 'upstream.pem'), url('/p', 'free.test')], { key })
      .catch(() => null);
    expect(blind?.code).not.toBe(0); // the proxy's CA did not sign this one: nobody opened the tunnel
    const { writeFile } = await import('node:fs/promises');
    await writeFile(join(rig.directory, 'upstream.pem'), rig.authority.material.certificatePem);
    expect(
      (await rig.curl(['--cacert', join(rig.directory, 'upstream.pem'), url('/p', 'free.test')], { key })).stdout,
    ).toBe('ok');
    expect((await curl([url()])).stdout).toBe('ok');
    expect(rig.sink().requests[0]?.all('authorization')).toEqual([]);
  });

  it('is refused for a host, a plaintext target and a grant that do not fit, with a code and a way out', async () => {
    await rig.storeSecret({ hosts: [rig.authorityOf('b.test')] });
    const refusals: [readonly string[], string][] = [
      [['-H', grant(), url('/p', 'b.test')], 'host_not_allowed'],
      [['-H', 'X-Alter-Grant: 01900000-0000-7000-8000-000000000000', url()], 'grant_not_found'],
      [['-H', 'X-Alter-Grant: nonsense', url()], 'grant_header_invalid'],
      [
        ['-x', `http://x:${key}@127.0.0.1:${rig.proxyPort}`, '-H', grant(), `http://${rig.authorityOf()}/p`],
        'plaintext_forbidden',
      ],
    ];
    for (const [args, code] of refusals) {
      const { stdout } = await curl(['-i', ...args]);
      const problem = JSON.parse(stdout.slice(stdout.lastIndexOf('\r\n\r\n')));
      expect(problem).toMatchObject({ code });
      expect(problem.hint).toMatch(/\.$/);
      expect(stdout).toMatch(new RegExp(`Proxy-Status: alter; error=\\w+; details="${code}"`));
    }
    expect(rig.sink('b.test').requests).toHaveLength(0);
    expect(rig.sink('a.test').requests).toHaveLength(0);
  });

  it('tells the client when the upstream refuses the credential', async () => {
    rig.sink().answer = (_, res) => {
      res.writeHead(401).end('no');
    };
    const { stdout } = await curl(['-i', '-H', grant(), url()]);
    rig.sink().answer = (_, res) => {
      res.end('ok');
    };
    expect(stdout).toContain('X-Alter-Hint: credential-rejected; secret=stripe; version=1');
    await eventually(async () => {
      const { items } = await rig.admin<{ items: { code: string | null }[] }>(
        'GET',
        '/audit?event=request.completed&order=desc&limit=20',
      );
      return items.some((item) => item.code === 'credential_rejected');
    });
  });

  it('streams a large body both ways unchanged', async () => {
    rig.sink().answer = (_, res, body) => {
      res.end(body);
    };
    const file = join(rig.directory, 'body.bin');
    const { writeFile } = await import('node:fs/promises');
    const { createHash, randomBytes } = await import('node:crypto');
    const body = randomBytes(8 * 1_048_576);
    await writeFile(file, body);
    const { code } = await rig.curl(['-H', grant(), '--data-binary', `@${file}`, '-o', `${file}.back`, url()], { key });
    rig.sink().answer = (_, res) => {
      res.end('ok');
    };
    expect(code).toBe(0);
    const digest = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
    expect(digest(readFileSync(`${file}.back`))).toBe(digest(body));
  });

  it('uses the new value after a rotation, with the same grant, on a connection that stays open', async () => {
    const rotated = await rig.storeSecret({ hosts: [rig.authorityOf()] });
    const open = await tunnel();
    open.socket.write(get(`X-Alter-Grant: ${rotated.grantId}`));
    expect((await open.reader.next()).status).toBe(200);
    rig.canaries.push('rotated-canary-value');
    await rig.admin('POST', `/managed-secrets/${rotated.id}/rotate`, { credential_value: 'rotated-canary-value' });
    await eventually(async () => {
      open.socket.write(get(`X-Alter-Grant: ${rotated.grantId}`));
      expect((await open.reader.next()).status).toBe(200);
      return rig.sink().requests.at(-1)!.all('authorization')[0] === 'Bearer rotated-canary-value';
    });
    open.socket.destroy();
  });

  it.each(['grant', 'key', 'secret'] as const)(
    'stops with the next request on an open connection after its %s is taken away',
    async (what) => {
      const doomed = await rig.storeSecret({ hosts: [rig.authorityOf()] });
      const ownKey = await rig.mintKey();
      const open = await mustOpen({
        proxyPort: rig.proxyPort,
        target: rig.authorityOf(),
        key: ownKey.key,
        serverName: 'a.test',
        ca: rig.service.authorityPem,
      });
      open.socket.write(get(`X-Alter-Grant: ${doomed.grantId}`));
      expect((await open.reader.next()).status).toBe(200);
      if (what === 'grant') await rig.admin('POST', `/grants/${doomed.grantId}/revoke`);
      if (what === 'key') await rig.admin('POST', `/keys/${ownKey.id}/revoke`);
      if (what === 'secret') await rig.admin('DELETE', `/managed-secrets/${doomed.id}`);
      const elapsedMs = startStopwatch();
      let status = 200;
      while (status === 200 && elapsedMs() < 2_000) {
        open.socket.write(get(`X-Alter-Grant: ${doomed.grantId}`));
        status = (await open.reader.next()).status;
      }
      expect(elapsedMs()).toBeLessThan(1_000);
      expect(status).toBe(what === 'key' ? 407 : 403);
      open.socket.destroy();
    },
  );

  it('is cut in the middle of a stream within two seconds after its grant is revoked', async () => {
    const doomed = await rig.storeSecret({ hosts: [rig.authorityOf()] });
    rig.sink().answer = (_, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' });
      const timer = setInterval(() => res.write('data: tick\n\n'), 50);
      res.once('close', () => clearInterval(timer));
    };
    const open = await tunnel();
    open.socket.write(get(`X-Alter-Grant: ${doomed.grantId}`));
    const closed = new Promise<void>((resolve) => open.socket.once('close', () => resolve()));
    await new Promise((resolve) => setTimeout(resolve, 200));
    await rig.admin('POST', `/grants/${doomed.grantId}/revoke`);
    const elapsedMs = startStopwatch();
    await closed;
    expect(elapsedMs()).toBeLessThan(2_500);
    rig.sink().answer = (_, res) => {
      res.end('ok');
    };
  });

  it('obeys the rate of its key exactly', async () => {
    const limited = await rig.mintKey({ rate_limit_rpm: 5 });
    const statuses = await Promise.all(
      Array.from(
        { length: 12 },
        async () =>
          (
            await curl(['-o', '/dev/null', '-w', '%{http_code} %header{x-alter-error}', '-H', grant(), url()], {
              key: limited.key,
            })
          ).stdout,
      ),
    );
    expect(statuses.filter((status) => status.startsWith('200'))).toHaveLength(5);
    expect(statuses.filter((status) => status === '429 rate_limited')).toHaveLength(7);
    expect(rig.sink().requests).toHaveLength(5);
  });

  it('is refused for a key that is tied to another address', async () => {
    const elsewhere = await rig.mintKey({ cidr: ['203.0.113.0/24'] });
    const answer = await exchangeRaw(
      rig.proxyPort,
      `CONNECT ${rig.authorityOf()} HTTP/1.1\r\nHost: ${rig.authorityOf()}\r\nProxy-Authorization: ${basic('x', elsewhere.key)}\r\n\r\n`,
    );
    expect([answer.status, answer.headers['x-alter-error']]).toEqual([403, 'policy_violation']);
    const here = await rig.mintKey({ cidr: ['127.0.0.0/8'] });
    expect((await curl(['-H', grant(), url()], { key: here.key })).stdout).toBe('ok');
  });

  it('leaves two records, one before and one after, that name everything but the credential', async () => {
    await curl([
      '-H',
      grant(),
      '-H',
      'X-Alter-Reason: ticket 42',
      '-H',
      'X-Alter-Caller: worker',
      url('/audited?token=query'),
    ]);
    const find = async (event: string) =>
      (
        await rig.admin<{ items: Record<string, unknown>[] }>('GET', `/audit?event=${event}&order=desc&limit=50`)
      ).items.find((item) => item.path === '/audited');
    expect(await find('request.decided')).toMatchObject({
      decision: 'allow',
      grant_id: secret.grantId,
      managed_secret_slug: 'stripe',
      secret_version: 1,
      method: 'GET',
      host: rig.authorityOf(),
      reason: 'ticket 42',
      caller: 'worker',
      client_ip: '127.0.0.1',
      principal_type: 'system',
    });
    await eventually(async () => (await find('request.completed'))?.status === 200);
    const exported = JSON.stringify(await rig.admin('GET', '/audit?limit=500'));
    expect(exported).not.toContain('token=query');
    for (const canary of rig.canaries) expect(exported).not.toContain(canary);
  });

  it('leaves no credential and no key in the store, the log or anything that was printed', async () => {
    const held: [string, Buffer][] = [
      ['the log', Buffer.from(rig.logText)],
      ['what clients printed', Buffer.from(printed.join('\n').replaceAll(/Proxy-Authorization: .*/gi, ''))],
    ];
    if (rig.redis === null)
      for (const name of readdirSync(rig.directory).filter((each) => each.startsWith('alter.db')))
        held.push([name, readFileSync(join(rig.directory, name))]);
    else {
      await rig.redis.cli('SAVE');
      const directory = (await rig.redis.cli('CONFIG', 'GET', 'dir')).split('\n')[1]!;
      held.push(['the dump', readFileSync(join(directory, 'dump.rdb'))]);
    }
    expect(held.length).toBeGreaterThanOrEqual(3);
    for (const [where, bytes] of held) {
      expect(bytes.length).toBeGreaterThan(0);
      // A client holds its own key, and curl prints it; what it must never hold is the credential.
      const forbidden = rig.canaries.filter(
        (canary) => where !== 'what clients printed' || !canary.startsWith('alter_rk_'),
      );
      for (const canary of forbidden) {
        for (const spelling of [
          canary,
          Buffer.from(canary).toString('base64').replace(/=+$/, ''),
          Buffer.from(canary).toString('hex'),
        ]) {
          if (bytes.includes(spelling)) throw new Error(`${where} holds a credential`);
        }
      }
    }
    expect(held.some(([, bytes]) => bytes.includes('A request was refused.'))).toBe(true); // the search does find what is there
  });
});

describe('with ALTER_EGRESS_MODE=deny', () => {
  it('what names no grant is refused before anything is dialled, and what names one goes on', async () => {
    const rig = await Rig.open({ sinks: ['a.test', 'free.test'], settings: { ALTER_EGRESS_MODE: 'deny' } });
    try {
      const secret = await rig.storeSecret({ hosts: [rig.authorityOf()] });
      const { key } = await rig.mintKey();
      const blind = await rig.curl(['-i', `https://${rig.authorityOf('free.test')}/`], { key });
      expect(blind.stdout).toContain('X-Alter-Error: egress_denied');
      const untagged = await rig.curl([`https://${rig.authorityOf()}/`], { key });
      expect(JSON.parse(untagged.stdout)).toMatchObject({ code: 'egress_denied' });
      expect(rig.sink('free.test').accepts + rig.sink('a.test').accepts).toBe(0);
      const tagged = await rig.curl(['-H', `X-Alter-Grant: ${secret.grantId}`, `https://${rig.authorityOf()}/`], {
        key,
      });
      expect(tagged.stdout).toBe('ok');
    } finally {
      await rig.close();
    }
  });
});

import { createHash } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { eventually } from '../support/in-parallel.ts';
import { Rig, type StoredSecret } from '../support/rig.ts';
import { mustOpen, type RawResponse } from '../support/tunnel-client.ts';

/*
 * A client that brings a signature of its own: to be taken for another, to have its date or token believed, to make the
 * upstream see two signatures, or to fill the proxy with bodies that wait to be signed.
 */

const s3Host = 'bucket.s3.eu-west-1.amazonaws.com';
const otherHost = 'dynamodb.eu-west-1.amazonaws.com';
const plainHost = 'api.customer.test';
const maxBodyBytes = 65_536;

describe("a client's own signature", () => {
  let rig: Rig;
  let s3: StoredSecret;
  let other: StoredSecret;
  let unknown: StoredSecret;
  let key: string;
  const credentials = {
    access_key_id: 'AKIDOURS',
    secret_access_key: 'canary-secret-access-key-4f1a',
    session_token: 'canary-session-token-77b2',
  };

  beforeAll(async () => {
    rig = await Rig.open({
      sinks: [s3Host, otherHost, plainHost],
      settings: {
        ALTER_MAX_SIGNED_BODY_BYTES: String(maxBodyBytes),
        ALTER_MAX_SIGNING_MEMORY_BYTES: String(3 * maxBodyBytes),
      },
    });
    const store = (host: string): Promise<StoredSecret> =>
      rig.storeSecret({ hosts: [rig.authorityOf(host)], body: { credential_type: 'aws_sig_v4', credentials } });
    s3 = await store(s3Host);
    other = await store(otherHost);
    unknown = await store(plainHost);
    key = (await rig.mintKey()).key;
  });
  beforeEach(() => {
    for (const host of [s3Host, otherHost, plainHost]) rig.sink(host).forget();
  });
  afterAll(() => rig?.close());

  const open = async (host: string) => {
    const ca = rig.service.authorityPem;
    return await mustOpen({ proxyPort: rig.proxyPort, target: rig.authorityOf(host), key, serverName: host, ca });
  };
  const ask = async (
    target: string,
    lines: readonly string[] = [],
    of: { host?: string; secret?: StoredSecret; method?: string; body?: string } = {},
  ): Promise<RawResponse> => {
    const host = of.host ?? s3Host;
    const tunnel = await open(host);
    const secret = of.secret ?? (host === s3Host ? s3 : other);
    const head = [
      `${of.method ?? 'GET'} ${target} HTTP/1.1`,
      `Host: ${rig.authorityOf(host)}`,
      `X-Alter-Grant: ${secret.grantId}`,
      ...lines,
    ];
    tunnel.socket.write(`${head.join('\r\n')}\r\n\r\n${of.body ?? ''}`, 'latin1');
    const answer = await tunnel.reader.next();
    tunnel.socket.destroy();
    return answer;
  };
  const seen = (host = s3Host) => rig.sink(host).requests[0]!;
  const today = (): string => new Date().toISOString().slice(0, 10).replaceAll('-', '');

  it.each([
    'Authorization: AWS4-HMAC-SHA256 Credential=THEIRS/19990101/x/y/aws4_request, SignedHeaders=host, Signature=THEIRS',
    'AUTHORIZATION: THEIRS',
    'X-Amz-Date: 19990101T000000Z',
    'x_amz_date: 19990101T000000Z',
    'X-Amz_Date: 19990101T000000Z',
    'Date: Fri, 01 Jan 19990101 00:00:00 GMT',
    'X-Amz-Security-Token: THEIRS',
    'X_Amz_Security_Token: THEIRS',
    'X-Amz-Region-Set: THEIRS',
    'X-Amz-S3session-Token: THEIRS',
  ])('is replaced, in any spelling, by exactly one of ours: %s', async (line) => {
    expect((await ask('/key', [line])).status).toBe(200);
    expect(rig.sink(s3Host).raw.toString('latin1')).not.toMatch(/THEIRS|19990101/);
    const names = seen()
      .rawHeaders.filter((_, i) => i % 2 === 0)
      .map((name) => name.toLowerCase().replaceAll('_', '-'));
    for (const name of ['authorization', 'x-amz-date', 'x-amz-security-token', 'x-amz-content-sha256'])
      expect([name, names.filter((each) => each === name).length]).toEqual([name, 1]);
    expect(seen().all('x-amz-date')[0]).toMatch(new RegExp(`^${today()}T\\d{6}Z$`));
    expect(seen().all('x-amz-security-token')).toEqual([credentials.session_token]);
    expect(seen().all('authorization')[0]).toMatch(
      new RegExp(`^AWS4-HMAC-SHA256 Credential=AKIDOURS/${today()}/eu-west-1/s3/aws4_request, SignedHeaders=`),
    );
  });

  const presigned = [
    'X-Amz-Algorithm=AWS4-HMAC-SHA256',
    'X-Amz-Credential=THEIRS%2F19990101%2Feu-west-1%2Fs3%2Faws4_request',
    'X-Amz-Date=19990101T000000Z',
    'X-Amz-Expires=900',
    'X-Amz-SignedHeaders=host',
    'X-Amz-Security-Token=THEIRS',
    'X-Amz-Signature=THEIRS',
  ].join('&');
  it.each([
    [`/key?${presigned}`, '/key'],
    [`/key?a=1&${presigned}&uploads&b=`, '/key?a=1&uploads&b='],
    [`/key?${presigned.toLowerCase()}`, '/key'],
    [`/key?${presigned.replaceAll('X-Amz', '%58-%41mz')}`, '/key'],
    [`/key?a=1;${presigned.replaceAll('&', ';')}`, '/key?a=1'],
    [`/key?${presigned}&${presigned}&x-id=GetObject`, '/key?x-id=GetObject'],
    ['/key?AWSAccessKeyId=THEIRS&Signature=THEIRS&Expires=19990101&versionId=1', '/key?versionId=1'],
    ['/key?Signature=mine&Expires=never', '/key?Signature=mine&Expires=never'],
  ])('in a presigned address becomes one in the headers: %s', async (target, left) => {
    expect((await ask(target)).status).toBe(200);
    expect(seen().url).toBe(left);
    expect(rig.sink(s3Host).raw.toString('latin1')).not.toMatch(/THEIRS|19990101/);
    expect(seen().all('authorization')).toHaveLength(1);
  });

  it('in a presigned address leaves the body of an upload unsigned, and streams it', async () => {
    const body = 'x'.repeat(3 * maxBodyBytes);
    const answer = await ask(`/key?${presigned}`, [`Content-Length: ${body.length}`], { method: 'PUT', body });
    expect(answer.status).toBe(200);
    expect(seen().all('x-amz-content-sha256')).toEqual(['UNSIGNED-PAYLOAD']);
    expect(seen().body).toHaveLength(body.length);
  });

  it.each([
    [['X-Amz-Content-Sha256: UNSIGNED-PAYLOAD', 'x_amz_content_sha256: UNSIGNED-PAYLOAD']],
    [['X-Amz-Content-Sha256: UNSIGNED-PAYLOAD', 'X-Amz-Content-Sha256: UNSIGNED-PAYLOAD']],
    [['X-Amz-Content-Sha256: 0']],
    [['X-Amz-Content-Sha256: STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD']],
    [['X-Amz-Content-Sha256: STREAMING-AWS4-HMAC-SHA256-EVENTS']],
    [['X-Amz-Content-Sha256: UNSIGNED-PAYLOAD, UNSIGNED-PAYLOAD']],
  ])('says of the body what can be understood, once, or is refused: %j', async (lines) => {
    const answer = await ask('/key', [...lines, 'Content-Length: 2'], { method: 'PUT', body: 'hi' });
    expect([answer.status, answer.headers['x-alter-error']]).toEqual([400, 'request_malformed']);
    expect(rig.sink(s3Host).accepts).toBe(0);
  });

  it('does not make a body pass that is not what it announced', async () => {
    const lines = ['X-Amz-Content-Sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD', 'Content-Length: 26'];
    const body = '5\r\nhello\r\n0\r\n\r\nGET / HTTP';
    const answer = await ask('/key', lines, { method: 'PUT', body });
    expect([answer.status, answer.headers['x-alter-error']]).toEqual([400, 'request_malformed']);
    expect(rig.sink(s3Host).requests).toEqual([]);
  });

  it('is made for what the body is, up to the limit', async () => {
    const body = 'x'.repeat(maxBodyBytes);
    const lines = [`Content-Length: ${body.length}`, 'Content-Type: application/x-amz-json-1.0'];
    expect((await ask('/', lines, { host: otherHost, method: 'POST', body })).status).toBe(200);
    expect(seen(otherHost).all('x-amz-content-sha256')).toEqual([createHash('sha256').update(body).digest('hex')]);
    expect(seen(otherHost).all('content-length')).toEqual([String(maxBodyBytes)]);
    expect(seen(otherHost).body.toString()).toBe(body);
  });

  it.each(['Content-Length', 'Transfer-Encoding'])(
    'is refused for a body beyond the limit, with %s',
    async (framing) => {
      const body = 'x'.repeat(maxBodyBytes + 1);
      const isChunked = framing === 'Transfer-Encoding';
      const line = isChunked ? 'Transfer-Encoding: chunked' : `Content-Length: ${body.length}`;
      const wire = isChunked ? `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n` : body;
      const answer = await ask('/', [line], { host: otherHost, method: 'POST', body: wire });
      expect([answer.status, answer.headers['x-alter-error']]).toEqual([413, 'body_too_large_to_sign']);
      expect(rig.sink(otherHost).requests).toEqual([]);
    },
  );

  it.each(['Content-Length', 'Transfer-Encoding'])('leaves such a body to S3 unsigned, with %s', async (framing) => {
    const body = 'x'.repeat(3 * maxBodyBytes);
    const isChunked = framing === 'Transfer-Encoding';
    const line = isChunked ? 'Transfer-Encoding: chunked' : `Content-Length: ${body.length}`;
    const wire = isChunked ? `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n` : body;
    expect((await ask('/key', [line], { method: 'PUT', body: wire })).status).toBe(200);
    expect(seen().all('x-amz-content-sha256')).toEqual(['UNSIGNED-PAYLOAD']);
    expect(seen().body.toString() === body).toBe(true);
  });

  it('does not fill the memory: bodies that wait are bounded together, and let go of when their clients leave', async () => {
    const head = `PUT / HTTP/1.1\r\nHost: ${rig.authorityOf(otherHost)}\r\nX-Alter-Grant: ${other.grantId}\r\n`;
    const waiting = await Promise.all(Array.from({ length: 3 }, () => open(otherHost)));
    for (const tunnel of waiting)
      tunnel.socket.write(`${head}Content-Length: ${maxBodyBytes}\r\n\r\n${'x'.repeat(maxBodyBytes - 1)}`);
    const more = { host: otherHost, method: 'PUT', body: 'x'.repeat(maxBodyBytes) };
    const length = [`Content-Length: ${maxBodyBytes}`];
    let answer = await ask('/', length, more);
    await eventually(async () => {
      answer = await ask('/', length, more);
      return answer.status === 503;
    });
    expect(answer.headers['x-alter-error']).toBe('overloaded');
    for (const tunnel of waiting) tunnel.socket.destroy();
    await eventually(async () => (await ask('/', length, more)).status === 200);
    for (let i = 0; i < 8; i++) expect((await ask('/', length, more)).status).toBe(200);
  });

  it('waits for a body that is sent only when it is asked for', async () => {
    const tunnel = await open(otherHost);
    tunnel.socket.write(
      `POST / HTTP/1.1\r\nHost: ${rig.authorityOf(otherHost)}\r\nX-Alter-Grant: ${other.grantId}\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n`,
    );
    await eventually(() => tunnel.reader.buffered.includes('100 Continue'));
    tunnel.socket.write('hello');
    expect((await tunnel.reader.next()).status).toBe(200);
    expect(tunnel.reader.buffered.includes('100 Continue')).toBe(false);
    tunnel.socket.destroy();
    expect(seen(otherHost).body.toString()).toBe('hello');
  });

  it('is not made for a host that tells neither region nor service', async () => {
    const answer = await ask('/', [], { host: plainHost, secret: unknown });
    expect([answer.status, answer.headers['x-alter-error']]).toEqual([403, 'host_not_allowed']);
    expect(JSON.parse(answer.body)).toMatchObject({
      detail: expect.stringContaining('service and region'),
      hint: expect.stringContaining('service and region'),
    });
    expect(rig.sink(plainHost).accepts).toBe(0);

    await rig.admin('POST', `/managed-secrets/${unknown.id}/rotate`, {
      credentials: { ...credentials, region: 'auto', service: 's3' },
    });
    await eventually(async () => (await ask('/', [], { host: plainHost, secret: unknown })).status === 200);
    expect(seen(plainHost).all('authorization')[0]).toContain('/auto/s3/aws4_request');
  });

  it('costs nobody the secret: it is in no answer, log or request', async () => {
    for (const text of [rig.logText, ...[s3Host, otherHost].map((host) => rig.sink(host).raw.toString('latin1'))])
      expect(text).not.toContain(credentials.secret_access_key);
    expect(rig.logText).not.toContain(credentials.session_token);
  });
});

describe('the admin API', () => {
  let rig: Rig;
  beforeAll(async () => {
    rig = await Rig.open({ sinks: [] });
  });
  afterAll(() => rig?.close());

  it('takes no injection rule for a credential that signs, since a rule could send the key itself', async () => {
    const credentials = { access_key_id: 'AKIDOURS', secret_access_key: 'canary-secret-access-key-4f1a' };
    const base = { name: 'aws', credential_type: 'aws_sig_v4', credentials };
    const rules = [{ target: 'header', name: 'X-Leak', format: '{secret_access_key}' }];
    const given = { injection_header: 'X-Key', injection_format: '{secret_access_key}', injection_rules: rules };
    const refused = await rig.admin<{ problems: { field: string; message: string }[] }>(
      'POST',
      '/managed-secrets',
      { ...base, ...given },
      [422],
    );
    const message = 'does not apply to aws_sig_v4, whose requests are signed';
    expect(refused.problems).toEqual(Object.keys(given).map((field) => ({ field, message })));
    expect(JSON.stringify(refused)).not.toContain('canary');

    const made = await rig.admin<{ id: string; injection_format: string }>('POST', '/managed-secrets', base);
    expect(JSON.stringify(made)).not.toContain('canary');
    await rig.admin('PATCH', `/managed-secrets/${made.id}`, { injection_rules: rules }, [422]);
    await rig.admin('PATCH', `/managed-secrets/${made.id}`, { name: 'renamed' });
    await rig.admin('POST', `/managed-secrets/${made.id}/rotate`, { credential_value: 'x' }, [422]);
    await rig.admin('POST', `/managed-secrets/${made.id}/rotate`, { credentials });
  });
});

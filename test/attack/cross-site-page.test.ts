import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually } from '../support/in-parallel.ts';
import { Rig, run } from '../support/rig.ts';

const browser = 'chromium-headless-shell';
const hasBrowser = spawnSync(browser, ['--version'], { stdio: 'ignore' }).status === 0;

/** A page of somebody else in the browser of an operator: it may send what browsers let it, and has even got hold of a token. */
(hasBrowser ? describe : describe.skip)('a page of another site', () => {
  let rig: Rig;
  let site: Server;
  /** A server that takes everything: what comes here would have reached the admin API as well. */
  let taker: Server;
  let home: string;
  let page = '';
  const reports: string[] = [];
  const taken: string[] = [];
  const attempts = 6;
  const allReported = (): boolean => reports.length >= 2 * attempts;

  const listen = async (server: Server): Promise<Server> => {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return server;
  };
  const urlOf = (server: Server): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  beforeAll(async () => {
    home = mkdtempSync(join(tmpdir(), 'alter-browser-'));
    rig = await Rig.open();
    taker = await listen(
      createServer((req, res) => {
        taken.push(`${req.method} ${req.headers['content-type'] ?? '-'} ${req.url}`);
        res.end('{}');
      }),
    );
    site = await listen(
      createServer((req, res) => {
        if (req.url === '/picture') {
          void eventually(() => allReported(), 60_000).then(
            () => res.end(),
            () => res.destroy(),
          );
          return;
        }
        if (req.url!.startsWith('/report?')) reports.push(decodeURIComponent(req.url!.slice(8)));
        res.setHeader('content-type', 'text/html').end(req.url === '/' ? page : '');
      }),
    );
  });
  afterAll(async () => {
    for (const server of [site, taker]) {
      server?.closeAllConnections();
      server?.close();
    }
    await rig?.close();
    rmSync(home, { recursive: true, force: true });
  });

  /** Gives the document as it is at the end. */
  const visit = (url: string): Promise<{ code: number; stdout: string }> =>
    run(
      browser,
      [
        ...['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', `--user-data-dir=${home}`, '--dump-dom'],
        ...['--disable-background-networking', '--no-proxy-server', '--timeout=60000'],
        ...['--host-resolver-rules=MAP evil.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1', url],
      ],
      { PATH: process.env.PATH ?? '', HOME: home },
    );
  /** Everything that a page can send by itself, to this server. */
  const attack = (name: string, target: string): string => {
    const path = `${target}/v1/apps/${rig.appId}/keys`;
    const body = JSON.stringify({ name: `by ${name}`, scopes: ['proxy:execute'] });
    return `
      const tell = (what, promise) => promise
        .then((r) => what + ' ' + r.type + ' ' + r.status, (e) => what + ' ' + e.name)
        .then((text) => fetch('/report?' + encodeURIComponent(${JSON.stringify(`${name} `)} + text)));
      const [url, body, token] = ${JSON.stringify([path, body, `Bearer ${rig.pat}`])};
      tell('simple', fetch(url, { method: 'POST', mode: 'no-cors', body }));
      tell('text', fetch(url, { method: 'POST', body, headers: { 'content-type': 'text/plain' } }));
      tell('json', fetch(url, { method: 'POST', body, headers: { 'content-type': 'application/json' } }));
      tell('token', fetch(url, { method: 'POST', body, headers: { 'content-type': 'application/json', authorization: token } }));
      tell('delete', fetch(url + '/x', { method: 'DELETE', headers: { authorization: token } }));
      tell('read', fetch(url, { headers: { authorization: token } }));
      const frame = document.body.appendChild(document.createElement('iframe'));
      frame.name = ${JSON.stringify(name)};
      const form = document.body.appendChild(document.createElement('form'));
      Object.assign(form, { method: 'post', action: url, enctype: 'text/plain', target: frame.name });
      const field = form.appendChild(document.createElement('input'));
      [field.name, field.value] = [body.slice(0, -1) + ',"x":"', '"}'];
      form.submit();
      navigator.sendBeacon(url, body);
      new Image().src = url;`;
  };

  it('changes nothing by form, fetch, beacon or image, with or without a token, and reads nothing', async () => {
    reports.length = 0;
    taken.length = 0;
    const before = await rig.admin<{ items: unknown[] }>('GET', '/keys');
    // The browser ends when the page has loaded: a picture that comes last keeps it from ending before the page has told all.
    page = `<body><img src="/picture">${['taker', 'admin']
      .map((name) => `<script>{${attack(name, name === 'taker' ? urlOf(taker) : rig.service.adminUrl!)}}</script>`)
      .join('')}</body>`;
    await visit(urlOf(site));
    await eventually(allReported);

    const of = (name: string): string[] =>
      reports
        .filter((report) => report.startsWith(`${name} `))
        .map((report) => report.slice(name.length + 1))
        .sort();
    // A page learns the same of both, and nothing: neither server invites other sites.
    const learnt = [
      'delete TypeError',
      'json TypeError',
      'read TypeError',
      'simple opaque 0',
      'text TypeError',
      'token TypeError',
    ];
    expect(of('taker')).toEqual(learnt);
    expect(of('admin')).toEqual(learnt);
    // The browser did send what needs no leave: the same was sent to the admin API.
    const posts = taken.filter((line) => line.startsWith('POST text/plain'));
    expect(posts.length).toBeGreaterThanOrEqual(3);
    expect(taken.filter((line) => line.startsWith('OPTIONS')).length).toBeGreaterThanOrEqual(3);

    expect(await rig.admin('GET', '/keys')).toEqual(before);
  }, 120_000);

  it('is not answered under a name of its own that resolves to the admin API', async () => {
    const { port } = new URL(rig.service.adminUrl!);
    const { stdout } = await visit(`http://evil.test:${port}/v1/me`);
    expect(stdout).toContain('host_unknown');
    const { stdout: own } = await visit(`http://127.0.0.1:${port}/v1/me`);
    expect(own).toContain('unauthenticated');
  }, 120_000);
});

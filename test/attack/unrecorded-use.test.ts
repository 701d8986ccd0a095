import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { eventually } from '../support/in-parallel.ts';
import { Rig, type StoredSecret } from '../support/rig.ts';
import { startStopwatch } from '../support/stopwatch.ts';
import { mustOpen, type RawResponse } from '../support/tunnel-client.ts';

/*
 * Using a credential without leaving a trace, by taking the audit away first. What can't be recorded must not happen.
 */
describe('with nowhere to record', () => {
  let directory: string;
  let rig: Rig | undefined;
  let secret: StoredSecret;
  let key: string;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'alter-audit-'));
  });
  afterEach(async () => {
    await rig?.close();
    rig = undefined;
    rmSync(directory, { recursive: true, force: true });
  });

  const open = async (options: Parameters<typeof Rig.open>[0]): Promise<Rig> => {
    rig = await Rig.open(options);
    secret = await rig.storeSecret({ hosts: [rig.authorityOf()] });
    key = (await rig.mintKey()).key;
    return rig;
  };
  const ask = async (): Promise<RawResponse> => {
    const tunnel = await mustOpen({
      proxyPort: rig!.proxyPort,
      target: rig!.authorityOf(),
      key,
      serverName: 'a.test',
      ca: rig!.service.authorityPem,
    });
    tunnel.socket.write(`GET /p HTTP/1.1\r\nHost: ${rig!.authorityOf()}\r\nX-Alter-Grant: ${secret.grantId}\r\n\r\n`);
    const answer = await tunnel.reader.next();
    tunnel.socket.destroy();
    return answer;
  };
  const expectNothingLeft = (answer: RawResponse, codes: readonly string[]): void => {
    expect(answer.status).toBe(503);
    expect(codes).toContain(answer.headers['x-alter-error']);
    expect(rig!.sink().raw.includes(secret.canary)).toBe(false);
  };

  /** A rig whose audit file was fine until now, and then is `target`. */
  const openThenTurnInto = async (target: string): Promise<void> => {
    const path = join(directory, 'audit.jsonl');
    symlinkSync(join(directory, 'fine.jsonl'), path);
    await open({ settings: { ALTER_AUDIT_FILE: path } });
    expect((await ask()).status).toBe(200);
    rig!.sink().forget();
    rmSync(path);
    symlinkSync(target, path);
  };

  it('because the disk is full, nothing is sent', async () => {
    await openThenTurnInto('/dev/full');
    expectNothingLeft(await ask(), ['audit_unavailable']);
  });

  it('because nobody reads the pipe, nothing is sent', async () => {
    const pipe = join(directory, 'pipe');
    expect(spawnSync('mkfifo', [pipe]).status).toBe(0);
    await openThenTurnInto(pipe);
    expectNothingLeft(await ask(), ['audit_unavailable']);
  });

  it('because the disk is full, nothing is stored by an operator either', async () => {
    await openThenTurnInto('/dev/full');
    await expect(rig!.mintKey()).rejects.toThrow('audit_unavailable');
  });

  it('because the directory is gone, nothing is sent until it is back', async () => {
    const folder = join(directory, 'log');
    mkdirSync(folder);
    const path = join(folder, 'audit.jsonl');
    await open({ settings: { ALTER_AUDIT_FILE: path } });
    expect((await ask()).status).toBe(200);
    const {
      decision,
      managed_secret_id: id,
      path: asked,
    } = JSON.parse(
      readFileSync(path, 'utf8')
        .split('\n')
        .find((line) => line.includes('request.decided'))!,
    );
    expect([decision, id, asked]).toEqual(['allow', secret.id, '/p']);

    rig!.sink().forget();
    rmSync(folder, { recursive: true });
    expectNothingLeft(await ask(), ['audit_unavailable']);

    mkdirSync(folder);
    await eventually(async () => (await ask()).status === 200);
    expect(existsSync(path)).toBe(true);
  });

  it('because the store is dead, nothing is sent, and the answer comes at once', async () => {
    await open({ store: 'redis' });
    expect((await ask()).status).toBe(200);
    rig!.sink().forget();
    await rig!.redis!.kill();
    const elapsedMs = startStopwatch();
    expectNothingLeft(await ask(), ['audit_unavailable', 'state_unavailable']);
    expect(elapsedMs()).toBeLessThan(5_000);
  });

  it('because the store hangs, nothing is sent, and requests go on when it is back', async () => {
    await open({ store: 'redis' });
    expect((await ask()).status).toBe(200);
    rig!.sink().forget();
    rig!.redis!.pause();
    expectNothingLeft(await ask(), ['audit_unavailable', 'state_unavailable']);
    rig!.redis!.resume();
    await eventually(async () => (await ask()).status === 200);
  });

  it('the decision stands in the store before the upstream hears of the request', async () => {
    await open({});
    const recorded = new Promise<string[]>((resolve) => {
      rig!.sink().answer = (_, res) => {
        void rig!
          .admin<{ items: { event: string; path: string }[] }>('GET', '/audit?event=request.decided')
          .then(({ items }) => {
            resolve(items.map((item) => item.path));
            res.end('ok');
          });
      };
    });
    expect((await ask()).status).toBe(200);
    expect(await recorded).toEqual(['/p']);
  });
});

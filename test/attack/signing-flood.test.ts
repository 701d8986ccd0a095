import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { inParallel } from '../support/in-parallel.ts';
import { ServedRig } from '../support/served-rig.ts';
import { AnswerReader, basic, connectTo } from '../support/tunnel-client.ts';

/*
 * A signature over a body needs all of it first: many large bodies at once want more memory than there is. SIGNED_BODY_MIB
 * sets how large each of the twenty is.
 */
const mib = 1_048_576;
const bodyBytes = Number(process.env.SIGNED_BODY_MIB ?? 8) * mib;
const clients = 20;
const memoryBytes = 3 * bodyBytes;
const maxResidentBytes = 400 * mib;

describe('a crowd of bodies that want to be signed', () => {
  let rig: ServedRig;
  let grantId: string;
  let key: string;

  beforeAll(async () => {
    rig = await ServedRig.open({
      settings: {
        ALTER_MAX_SIGNED_BODY_BYTES: String(bodyBytes),
        ALTER_MAX_SIGNING_MEMORY_BYTES: String(memoryBytes),
        ALTER_LOG_LEVEL: 'warn',
      },
    });
    const made = await rig.admin<{ id: string; grant_id: string }>('POST', '/managed-secrets', {
      name: 'aws',
      credential_type: 'aws_sig_v4',
      credentials: {
        access_key_id: 'AKIAEXAMPLE',
        secret_access_key: 'a secret that nobody sees',
        region: 'eu-west-1',
        service: 'example',
      },
    });
    await rig.admin('PUT', `/managed-secrets/${made.id}/allowed-hosts`, { hosts: [rig.target] });
    grantId = made.grant_id;
    ({ key } = await rig.mintKey());
  });
  afterAll(() => rig?.close());

  const put = async (bytes: number): Promise<string> => {
    const socket = await connectTo(rig.proxyPort);
    const reader = new AnswerReader(socket);
    socket.write(
      `POST https://${rig.target}/ HTTP/1.1\r\nHost: ${rig.target}\r\nProxy-Authorization: ${basic('x', key)}\r\nX-Alter-Grant: ${grantId}\r\nContent-Length: ${bytes}\r\n\r\n`,
    );
    const chunk = Buffer.alloc(mib, 'a');
    const answer = reader.next();
    let over = false;
    void answer.then(() => {
      over = true;
    });
    for (let sent = 0; sent < bytes && !over && !socket.destroyed; sent += mib)
      if (!socket.write(chunk.subarray(0, Math.min(mib, bytes - sent))))
        await new Promise((resolve) => socket.once('drain', resolve).once('close', resolve));
    const { status, headers } = await answer;
    socket.destroy();
    return headers['x-alter-error'] ?? String(status);
  };
  const status = (): string => readFileSync(`/proc/${rig.child.pid}/status`, 'utf8');
  const peakBytes = (): number => Number(/VmHWM:\s+(\d+) kB/.exec(status())![1]) * 1_024;

  (process.platform === 'linux' ? it : it.skip)(
    `takes no more memory than is set aside, and what is too much is refused: ${clients} of ${bodyBytes / mib} MiB`,
    async () => {
      expect(await put(bodyBytes)).toBe('200');
      expect(await put(bodyBytes + 1)).toBe('body_too_large_to_sign');
      const outcomes: string[] = [];
      await inParallel([...Array(clients).keys()], clients, async () => {
        outcomes.push(await put(bodyBytes));
      });
      expect(outcomes.filter((outcome) => outcome === '200').length).toBeGreaterThan(0);
      // Who found no room was told so; the answer may be lost to a client that is still sending.
      expect(new Set(outcomes)).toEqual(new Set(['200', ...outcomes.filter((o) => o === 'overloaded' || o === '0')]));
      expect(peakBytes()).toBeLessThan(maxResidentBytes);
      // Afterwards there is room again, and nothing was put on disk.
      expect(await put(bodyBytes)).toBe('200');
      expect(readdirSync(rig.directory)).toEqual(['.alter']);
    },
  );
});

import type { Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually, inParallel } from '../support/in-parallel.ts';
import { hasParser, type ParserName, ParsingSink, parserNames, type ReadRequest } from '../support/parsing-sinks.ts';
import { Rig, type StoredSecret } from '../support/rig.ts';
import { TestAuthority } from '../support/sink.ts';
import { AnswerReader, basic, connectTo, mustOpen } from '../support/tunnel-client.ts';
import { desyncPayloads, type Expectation, type Payload } from './desync-payloads.ts';

/*
 * Desync: the proxy and the server behind it count requests differently, so that one that nobody authorised gets through.
 * That is a matter of two readers; so every payload goes to three, and what they read is compared with the audit.
 */
const forms = ['in a tunnel', 'in absolute form'] as const;
type Form = (typeof forms)[number];

interface Sent {
  readonly payload: Payload;
  /** Occurs in the target of the request and nowhere else. */
  readonly id: string;
  readonly statuses: readonly number[];
  readonly closed: boolean;
  readonly body: string | undefined;
}

/** How long an answer is waited for: long where one has to come, or the end; short where nothing more is to come. */
const patienceMs: Readonly<Record<Expectation, number>> = {
  refused: 5_000,
  two: 5_000,
  one: 5_000,
  cut: 300,
};

describe('what is framed for two readers', () => {
  let rig: Rig;
  let key: string;
  const sinks = new Map<ParserName, ParsingSink>();
  const secrets = new Map<ParserName, StoredSecret>();

  beforeAll(async () => {
    const authority = await TestAuthority.create();
    for (const name of parserNames.filter(hasParser))
      sinks.set(name, await ParsingSink.open(name, authority, 'a.test'));
    rig = await Rig.open({
      authority,
      alsoAllow: [...sinks.values()].map(({ port }) => `127.0.0.1:${port}`).join(','),
      settings: { ALTER_LOG_LEVEL: 'error', ALTER_AUDIT: 'buffered' },
    });
    for (const [name, sink] of sinks) secrets.set(name, await rig.storeSecret({ hosts: [`a.test:${sink.port}`] }));
    key = (await rig.mintKey()).key;
  });
  afterAll(async () => {
    await rig?.close();
    for (const sink of sinks.values()) await sink.close();
  });

  it('is at least two hundred payloads, each with a name of its own', () => {
    expect(desyncPayloads.length).toBeGreaterThanOrEqual(200);
    expect(new Set(desyncPayloads.map(({ name }) => name)).size).toBe(desyncPayloads.length);
    expect(new Set(desyncPayloads.map(({ raw }) => raw)).size).toBe(desyncPayloads.length);
  });

  const send = async (of: { payload: Payload; parser: ParserName; form: Form; id: string }): Promise<Sent> => {
    const { payload, parser, form, id } = of;
    const authority = `a.test:${sinks.get(parser)!.port}`;
    const grant = `X-Alter-Grant: ${secrets.get(parser)!.grantId}`;
    const inTunnel = form === 'in a tunnel';
    const own = inTunnel ? '' : `Proxy-Authorization: ${basic('x', key)}\r\n${grant}\r\n`;
    const target = (path: string): string => (inTunnel ? path : `https://${authority}${path}`);
    const marker = `GET ${target(`/m-${id}`)} HTTP/1.1\r\nHost: ${authority}\r\n${own}\r\n`;
    const fill = (text: string): string =>
      text
        .replaceAll('{p}', target(`/p-${id}`))
        .replaceAll('{m}', target(`/h-${id}`))
        .replaceAll('{h}', `Host: ${authority}\r\n${own}`)
        .replaceAll('{own}', own)
        .replaceAll('{a}', authority);
    const filled = fill(payload.raw);
    const length = filled.length - (filled.indexOf('\r\n\r\n') + 4);
    const bytes = filled.replace('{n}', String(length)).replace('{n+m}', String(length + marker.length)) + marker;

    let socket: Socket;
    let reader: AnswerReader;
    if (inTunnel) {
      ({ socket, reader } = await mustOpen({
        proxyPort: rig.proxyPort,
        target: authority,
        key,
        serverName: 'a.test',
        ca: rig.service.authorityPem,
        headers: [grant],
      }));
    } else {
      socket = await connectTo(rig.proxyPort);
      reader = new AnswerReader(socket);
    }
    let closed = false;
    socket.once('end', () => {
      closed = true;
    });
    socket.once('close', () => {
      closed = true;
    });
    socket.write(bytes, 'latin1');
    const statuses: number[] = [];
    while (statuses.length < (payload.expect === 'one' ? 1 : 2)) {
      const answer = await Promise.race([reader.next(), patience(patienceMs[payload.expect])]);
      if (answer === null || answer.status === 0) break;
      statuses.push(answer.status);
    }
    socket.destroy();
    const body =
      payload.expect === 'one' ? `hello${marker}` : payload.body === undefined ? undefined : fill(payload.body);
    return { payload, id, statuses, closed, body };
  };

  /** What is wrong with one outcome, or null. */
  const judge = (sent: Sent, parser: ParserName, read: readonly ReadRequest[], raw: string): string | null => {
    const { payload, id, statuses, closed } = sent;
    const of = (kind: string): readonly ReadRequest[] => read.filter(({ target }) => target.endsWith(`/${kind}-${id}`));
    const [requests, markers] = [of('p'), of('m')];
    if (of('h').length > 0) return 'what stands in its body was read as a request';
    const refused = statuses.length === 0 || (statuses.length === 1 && statuses[0]! >= 400 && statuses[0]! < 500);
    const isRefused = (): string | null => {
      if (raw.includes(id)) return 'bytes of it reached the server';
      if (!refused) return `was answered with ${statuses.join(', ')}`;
      return closed ? null : 'was left open';
    };
    const isRead = (count: number): string | null => {
      if (requests.length !== 1 || markers.length !== count)
        return `was read as ${requests.length} requests and ${markers.length} markers, answered ${statuses.join(', ')}`;
      if (parser === 'node' && sent.body !== undefined && requests[0]!.body !== sent.body)
        return `was read with the body ${JSON.stringify(requests[0]!.body)}`;
      return null;
    };
    switch (payload.expect) {
      case 'refused':
        return isRefused();
      case 'two':
        return isRead(1);
      case 'one':
        return isRead(0);
      case 'cut':
        if (markers.length > 0) return 'the marker was read';
        // The others answer before they have the body, and log what broke off as they log the rest.
        return requests.length > 0 && parser === 'node' ? 'was read as a whole request' : null;
    }
  };

  const allowed = async (prefix: string): Promise<string[]> => {
    const found: string[] = [];
    let after: string | null = null;
    do {
      const page: { items: { method: string; path: string; decision: string }[]; next: string | null } =
        await rig.admin(
          'GET',
          `/audit?event=request.decided&limit=1000&order=asc${after === null ? '' : `&after=${after}`}`,
        );
      for (const { method, path, decision } of page.items)
        if (decision === 'allow' && path.includes(prefix)) found.push(`${method} ${path}`);
      after = page.next;
    } while (after !== null);
    return found.sort();
  };

  describe.each(parserNames)('before %s', (parser) => {
    const test = hasParser(parser) ? it : it.skip;

    test.each(forms)('%s: what is ambiguous sends no byte, and what is read is what was authorised', async (form) => {
      const sink = sinks.get(parser)!;
      const prefix = `${parser}-${form.slice(3, 5).trim()}`;
      const sent: Sent[] = [];
      await inParallel([...desyncPayloads.entries()], 16, async ([index, payload]) => {
        sent.push(await send({ payload, parser, form, id: `${prefix}-${index}x` }));
      });
      const read = async (): Promise<ReadRequest[]> =>
        (await sink.requests()).filter(({ target }) => target.includes(prefix));
      const expected = sent.filter(({ payload: { expect } }) => expect === 'two').length * 2;
      await eventually(async () => (await read()).length >= expected).catch(() => {}); // told below
      const seen = await sink.requests();
      const { raw } = sink;
      const wrong = sent
        .map((one) => [one.payload.name, judge(one, parser, seen, raw)] as const)
        .filter(([, problem]) => problem !== null);
      expect(wrong).toEqual([]);

      // Requests that the server read are those of the audit, each once: nothing was added on the way, by anybody. What
      // was authorised and broke off in its body may be missing.
      const whole = (await read()).filter(({ method }) => method !== 'bad');
      const lines = whole.map(({ method, target }) => `${method} ${target}`).sort();
      const broken = new Set(sent.filter(({ payload }) => payload.expect === 'cut').map(({ id }) => `/p-${id}`));
      // Buffered records come a moment later.
      await eventually(async () => {
        const known = new Set(await allowed(prefix));
        return lines.every((line) => known.has(line));
      }).catch(() => {}); // told below
      const authorised = (await allowed(prefix)).filter(
        (line) => lines.includes(line) || !broken.has(line.slice(line.indexOf('/'))),
      );
      expect(lines).toEqual(authorised);
    });
  });
});

function patience(ms: number): Promise<null> {
  return new Promise((resolve) => {
    setTimeout(() => resolve(null), ms).unref();
  });
}

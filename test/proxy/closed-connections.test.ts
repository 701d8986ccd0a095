import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { eventually } from '../support/in-parallel.ts';
import { Rig } from '../support/rig.ts';
import { connectTo, mustOpen } from '../support/tunnel-client.ts';

/** What is left of a connection: Node keeps its sockets for as long as it likes, and whatever hangs on them. */
describe('a connection that has closed', () => {
  let rig: Rig;
  let grantId: string;
  let accepted: Socket[];
  const onAccepted = (message: unknown): void => {
    const { socket } = message as { readonly socket: Socket };
    if (socket.localPort === rig.proxyPort) accepted.push(socket);
  };
  beforeAll(async () => {
    rig = await Rig.open();
    grantId = (await rig.storeSecret({ hosts: [target()] })).grantId;
  });
  beforeEach(() => {
    accepted = [];
    subscribe('net.server.socket', onAccepted);
  });
  afterEach(() => {
    unsubscribe('net.server.socket', onAccepted);
  });
  afterAll(() => rig?.close());

  const ways: readonly [way: string, use: () => Promise<{ destroy(): unknown }>][] = [
    ['a tunnel', async () => (await tunnel()).socket],
    [
      'a tunnel in which requests were made',
      async () => {
        const { socket, reader } = await tunnel();
        socket.write(`GET /p HTTP/1.1\r\nHost: ${target()}\r\nX-Alter-Grant: ${grantId}\r\n\r\n`);
        expect((await reader.next()).status).toBe(200);
        return socket;
      },
    ],
    [
      'nothing that was asked for',
      async () => {
        const socket = await connectTo(rig.proxyPort);
        await eventually(() => accepted.length === 1);
        return socket;
      },
    ],
  ];
  const target = (): string => `a.test:${rig.sink().port}`;
  async function tunnel() {
    const { key } = await rig.mintKey();
    const serverName = 'a.test';
    return mustOpen({
      ...{ proxyPort: rig.proxyPort, target: target(), key, serverName, ca: rig.service.authorityPem },
    });
  }

  it.each(ways)(
    'was %s, keeps no listener but one for an error that comes late, which does nothing',
    async (_, use) => {
      const client = await use();
      const [server] = accepted;
      expect(server!.eventNames()).toContain('close');
      client.destroy();
      await once(server!, 'close');
      await eventually(() => server!.listenerCount('close') === 0);
      expect(server!.eventNames()).toEqual(['error']);
      expect(() => server!.emit('error', new Error('late'))).not.toThrow();
    },
  );
});

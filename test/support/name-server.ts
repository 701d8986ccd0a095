import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { isIPv4 } from 'node:net';

export type NameAnswer =
  | { readonly addresses: readonly string[] }
  | { readonly alias: string }
  | { readonly failure: 'NXDOMAIN' | 'SERVFAIL' }
  | 'silence';

const types = { A: 1, CNAME: 5, AAAA: 28 };
const failures = { SERVFAIL: 2, NXDOMAIN: 3 };

/** A name server of a few lines, on an address of loopback that nobody else has. Only root may open it: the port is 53. */
export class NameServer {
  /** Every name that was asked for, as often as it was, in lower case. */
  readonly asked: string[] = [];
  readonly #socket: Socket;
  readonly #answers: ReadonlyMap<string, (type: 'A' | 'AAAA') => NameAnswer>;

  private constructor(socket: Socket, answers: ReadonlyMap<string, (type: 'A' | 'AAAA') => NameAnswer>) {
    this.#socket = socket;
    this.#answers = answers;
    socket.on('message', (query, from) => {
      const answer = this.#answer(query);
      if (answer !== null) socket.send(answer, from.port, from.address);
    });
  }

  static async open(
    address: string,
    answers: ReadonlyMap<string, (type: 'A' | 'AAAA') => NameAnswer>,
  ): Promise<NameServer> {
    const socket = createSocket('udp4');
    socket.bind(53, address);
    await once(socket, 'listening');
    return new NameServer(socket, answers);
  }

  close(): void {
    this.#socket.close();
  }

  #answer(query: Buffer): Buffer | null {
    let at = 12;
    const labels: string[] = [];
    for (let length = query[at]!; length > 0; length = query[at]!) {
      labels.push(query.toString('latin1', at + 1, at + 1 + length));
      at += 1 + length;
    }
    const question = query.subarray(12, at + 5);
    const type = query.readUInt16BE(at + 1) === types.AAAA ? 'AAAA' : 'A';
    let name = labels.join('.').toLowerCase();
    this.asked.push(name);

    const records: Buffer[] = [];
    for (;;) {
      const said = this.#answers.get(name)?.(type) ?? { failure: 'NXDOMAIN' as const };
      if (said === 'silence') return null;
      if ('failure' in said) return this.#message(query, question, failures[said.failure], records);
      if ('addresses' in said) {
        for (const address of said.addresses)
          if (isIPv4(address) === (type === 'A')) records.push(record(name, types[type], bytesOf(address)));
        return this.#message(query, question, 0, records);
      }
      records.push(record(name, types.CNAME, encodeName(said.alias)));
      name = said.alias;
    }
  }

  #message(query: Buffer, question: Buffer, code: number, records: readonly Buffer[]): Buffer {
    const head = Buffer.alloc(12);
    query.copy(head, 0, 0, 2);
    head.writeUInt16BE(0x8580 | code, 2); // an authoritative answer, recursion available
    head.writeUInt16BE(1, 4);
    head.writeUInt16BE(records.length, 6);
    return Buffer.concat([head, question, ...records]);
  }
}

/** With a time to live of nothing, so that nobody keeps it. */
function record(name: string, type: number, data: Buffer): Buffer {
  const fixed = Buffer.alloc(10);
  fixed.writeUInt16BE(type, 0);
  fixed.writeUInt16BE(1, 2);
  fixed.writeUInt16BE(data.length, 8);
  return Buffer.concat([encodeName(name), fixed, data]);
}

function encodeName(name: string): Buffer {
  return Buffer.from(
    `${name.split('.').reduce((text, label) => text + String.fromCharCode(label.length) + label, '')}\0`,
  );
}

function bytesOf(address: string): Buffer {
  if (isIPv4(address)) return Buffer.from(address.split('.').map(Number));
  const [left = '', right] = address.split('::');
  const words = (text: string): string[] => (text === '' ? [] : text.split(':'));
  const [before, behind] = [words(left), words(right ?? '')];
  const all = [...before, ...Array<string>(8 - before.length - behind.length).fill('0'), ...behind];
  const bytes = Buffer.alloc(16);
  for (const [index, word] of all.entries()) bytes.writeUInt16BE(Number.parseInt(word, 16), index * 2);
  return bytes;
}

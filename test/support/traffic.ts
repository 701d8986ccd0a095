import { setTimeout as sleep } from 'node:timers/promises';
import type { Rig, StoredSecret } from './rig.ts';
import { AnswerReader, basic, connectTo } from './tunnel-client.ts';

export interface Answer {
  /** Milliseconds of `performance.now()`. */
  readonly askedAt: number;
  readonly answeredAt: number;
  /** Of the proxy. */
  readonly port: number;
  readonly status: number;
  readonly code: string | undefined;
}

/** Requests through a proxy, one after the other in each of a few lanes, until they are stopped; and when the upstream got the credential. */
export class Traffic {
  readonly answers: Answer[] = [];
  readonly #arrivals: number[] = [];
  readonly #lanes: Promise<void>[];
  #isStopped = false;

  constructor(of: {
    readonly rig: Rig;
    readonly secret: Pick<StoredSecret, 'grantId' | 'canary'>;
    readonly key: string;
    readonly proxyPorts: readonly number[];
  }) {
    const sink = of.rig.sink();
    sink.answer = (request, response) => {
      if (JSON.stringify(request.headers).includes(of.secret.canary)) this.#arrivals.push(performance.now());
      response.end('ok');
    };
    const target = of.rig.authorityOf();
    const head = [
      `GET https://${target}/ HTTP/1.1`,
      `Host: ${target}`,
      `Proxy-Authorization: ${basic('x', of.key)}`,
      `X-Alter-Grant: ${of.secret.grantId}`,
    ];
    this.#lanes = of.proxyPorts.map((port) => this.#run(port, `${head.join('\r\n')}\r\n\r\n`));
  }

  /** When the credential last reached the upstream before this moment; 0 where it never did. */
  lastUseBefore(at: number): number {
    return this.#arrivals.findLast((arrivedAt) => arrivedAt < at) ?? 0;
  }

  firstAfter(at: number, matches: (answer: Answer) => boolean): Answer | undefined {
    return this.answers.find((answer) => answer.askedAt >= at && matches(answer));
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await Promise.all(this.#lanes);
  }

  async #run(port: number, bytes: string): Promise<void> {
    let socket = await connectTo(port);
    let reader = new AnswerReader(socket);
    while (!this.#isStopped) {
      const askedAt = performance.now();
      socket.write(bytes);
      const { status, headers, cut } = await reader.next();
      this.answers.push({ askedAt, answeredAt: performance.now(), port, status, code: headers['x-alter-error'] });
      if (cut || socket.destroyed || headers.connection === 'close') {
        socket.destroy();
        socket = await connectTo(port);
        reader = new AnswerReader(socket);
      }
      await sleep(15);
    }
    socket.destroy();
  }
}

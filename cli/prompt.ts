import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { exitCodes, Failure } from './failure.ts';

/** Somebody is there to answer. Questions go to stderr, so that a redirected stdout does not hide them. */
export function canAsk(): boolean {
  return process.stdin.isTTY === true && process.stderr.isTTY === true;
}

/** The answer without its line end. Throws with exit code 1 where the person leaves with Ctrl-C or Ctrl-D. */
export function ask(question: string): Promise<string> {
  return read(question, process.stderr);
}

/** As {@link ask}, but what is typed is not shown. */
export async function askHidden(question: string): Promise<string> {
  // What readline would echo goes nowhere; the terminal itself echoes nothing while readline holds it in raw mode.
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  try {
    return await read('', nowhere, () => process.stderr.write(question));
  } finally {
    process.stderr.write('\n');
  }
}

/** `onRawMode` is called when the terminal has stopped to echo: who reads the question may answer it at once. */
function read(question: string, output: NodeJS.WritableStream, onRawMode: () => void = () => {}): Promise<string> {
  return new Promise((resolve, reject) => {
    const lines = createInterface({ input: process.stdin, output, terminal: true, historySize: 0 });
    const leave = () => {
      reject(new Failure({ exit: exitCodes.error, code: 'cancelled', detail: 'Cancelled; nothing was changed.' }));
      lines.close();
    };
    lines.once('SIGINT', leave);
    lines.once('close', leave); // Ctrl-D; after an answer this rejects a settled promise, which does nothing
    onRawMode();
    lines.question(question, (answer) => {
      resolve(answer);
      lines.close();
    });
  });
}

/** The first line of stdin, without its end; null where stdin holds nothing. `maxBytes` bounds what is read. */
export async function readLine(maxBytes: number): Promise<string | null> {
  const text = await readAll(maxBytes, (chunk) => chunk.includes(0x0a));
  if (text === '') return null;
  return text.split('\n', 1)[0]!.replace(/\r$/, '');
}

/** All of stdin as UTF-8, up to `maxBytes`. */
export async function readAll(maxBytes: number, isEnough: (chunk: Buffer) => boolean = () => false): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    size += chunk.length;
    if (isEnough(chunk)) break;
    if (size > maxBytes)
      throw new Failure({
        exit: exitCodes.usage,
        code: 'usage',
        detail: `Standard input holds more than ${maxBytes / 1024} KiB.`,
      });
  }
  return Buffer.concat(chunks).toString('utf8');
}

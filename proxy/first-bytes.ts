import type { Socket } from 'node:net';

/** The next bytes of a socket, which is paused then; null where it ended or closed without any. Who calls gives them back. */
export function firstBytes(socket: Socket): Promise<Buffer | null> {
  return new Promise((resolve) => {
    const done = (chunk: Buffer | null): void => {
      socket.off('data', onData);
      socket.off('close', onEnd);
      socket.off('end', onEnd);
      resolve(chunk);
    };
    const onData = (chunk: Buffer): void => {
      socket.pause();
      done(chunk);
    };
    const onEnd = (): void => done(null);
    socket.on('data', onData);
    socket.on('close', onEnd);
    socket.on('end', onEnd);
    socket.resume();
  });
}

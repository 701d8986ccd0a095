/**
 * What nginx can't answer by itself, behind it on a socket of its own: `/events` (one event, and silence), `/socket` (a
 * WebSocket that echoes) and `/upload-large` (takes everything, keeps nothing). Run as a program: the path of the socket.
 */
import { createServer } from 'node:http';
import { WebSocketServer } from 'ws';

export const acknowledgement = '{"received":true}';
export const firstEvent = 'event: message\ndata: {"token":"Hello"}\n\n';

function serveStreams(path: string): void {
  const server = createServer((req, res) => {
    if (req.url === '/events') {
      res.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
      res.write(firstEvent);
      return;
    }
    req.resume();
    req.on('end', () => {
      res.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': acknowledgement.length });
      res.end(acknowledgement);
    });
  });
  server.requestTimeout = 0;
  server.keepAliveTimeout = 600_000;
  const sockets = new WebSocketServer({ server, perMessageDeflate: false });
  sockets.on('connection', (socket) => {
    socket.on('error', () => {}); // the generator closes without a word
    socket.on('message', (data, isBinary) => socket.send(data as Buffer, { binary: isBinary }));
  });
  process.once('SIGTERM', () => process.exit(0));
  server.listen(path, () => process.stdout.write('listening\n'));
}

if (process.argv[1] === import.meta.filename) serveStreams(process.argv[2]!);

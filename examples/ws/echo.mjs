// ws goes around Node's agent. Given it, NODE_USE_ENV_PROXY=1 makes it take the proxy from HTTPS_PROXY; the CA comes from
// NODE_EXTRA_CA_CERTS. URL begins with wss://, and the server is to send back what it is sent.
import https from 'node:https';
import WebSocket from 'ws';

const { URL: url, GRANT: grant } = process.env;
const socket = new WebSocket(url, { agent: https.globalAgent, headers: grant ? { 'X-Alter-Grant': grant } : {} });
socket.on('upgrade', ({ statusCode }) => console.log(statusCode));
socket.on('open', () => socket.send('hello'));
socket.on('message', (data) => {
  process.stdout.write(data);
  socket.close(1000);
});

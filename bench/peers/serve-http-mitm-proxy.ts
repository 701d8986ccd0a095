/** http-mitm-proxy as its README shows it. Run as a program: the folder of the package, a port, a folder for its authority. */
import { Agent } from 'node:https';
import { createRequire } from 'node:module';

interface Context {
  readonly proxyToServerRequestOptions: { readonly headers: Record<string, string> };
}

interface HttpMitmProxy {
  onError(handler: () => void): void;
  onRequest(handler: (context: Context, next: () => void) => void): void;
  listen(options: Readonly<Record<string, unknown>>, listening: () => void): void;
}

const [, , folder, port, sslCaDir] = process.argv as [string, string, string, string, string];
const { Proxy: ProxyServer } = createRequire(import.meta.url)(folder) as { readonly Proxy: new () => HttpMitmProxy };
console.debug = () => {}; // it tells of every host
const proxy = new ProxyServer();
const value = process.env.HEADER_VALUE!;
proxy.onError(() => {});
proxy.onRequest((context, next) => {
  context.proxyToServerRequestOptions.headers.authorization = value;
  next();
});
const httpsAgent = new Agent({
  keepAlive: true,
  lookup: (_name, options, done) =>
    options.all === true ? done(null, [{ address: '127.0.0.1', family: 4 }]) : done(null, '127.0.0.1', 4),
});
proxy.listen({ host: '127.0.0.1', port: Number(port), sslCaDir, keepAlive: true, httpsAgent }, () =>
  process.stdout.write('ready\n'),
);

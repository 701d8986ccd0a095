// Run by `helm test` with the Node of the image: both listeners answer and ask who is calling; then, where a key is
// given, one request goes through the proxy as a workload would send it.
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';

const { PROXY_URL, ADMIN_URL, REQUEST_URL, GRANT, EXPECT_STATUS, KEY_FILE, CA_FILE } = process.env;
const timeoutMs = 10_000;

function ask(url, options) {
  const { request } = url.startsWith('https:') ? https : http;
  return new Promise((resolve, reject) => {
    request(url, { timeout: timeoutMs, ...options }, (response) => {
      response.resume();
      resolve(response);
    })
      .on('timeout', function () {
        this.destroy(new Error(`no answer within ${timeoutMs} ms`));
      })
      .on('error', reject)
      .end();
  });
}

async function check(what, expected, asking) {
  try {
    const { statusCode, headers } = await asking();
    const code = headers['x-alter-error'] === undefined ? '' : ` ${headers['x-alter-error']}`;
    const fine = statusCode === expected;
    if (!fine) process.exitCode = 1;
    console.log(`${fine ? 'ok    ' : 'FAILED'} ${what}: ${statusCode}${code}${fine ? '' : `, not ${expected}`}`);
  } catch (error) {
    process.exitCode = 1;
    console.log(`FAILED ${what}: ${error.code ?? error.message}`);
  }
}

// Nothing secret is sent by these two, so the name in the certificate of a listener is left to the clients to check.
const anyName = { rejectUnauthorized: false, agent: false };
if (PROXY_URL)
  await check('the proxy asks for a key', 407, () =>
    ask(PROXY_URL, { ...anyName, path: 'http://example.com/', headers: { host: 'example.com' } }),
  );
if (ADMIN_URL) await check('the admin API asks for a token', 401, () => ask(`${ADMIN_URL}/v1/apps`, anyName));
if (REQUEST_URL) {
  const proxy = new URL(PROXY_URL);
  proxy.username = 'x';
  proxy.password = readFileSync(KEY_FILE, 'utf8').trim();
  const agent = new https.Agent({ ca: readFileSync(CA_FILE, 'utf8'), proxyEnv: { HTTPS_PROXY: proxy.href } });
  const headers = { 'x-alter-grant': GRANT };
  await check(`a request to ${REQUEST_URL}`, Number(EXPECT_STATUS), () => ask(REQUEST_URL, { agent, headers }));
}

// For a Node without NODE_USE_ENV_PROXY: an agent takes got through the proxy.
import got from 'got';
import { HttpsProxyAgent } from 'https-proxy-agent';

const { URL: url, GRANT: grant, HTTPS_PROXY: proxy } = process.env;
const { statusCode, body } = await got(url, {
  agent: { https: new HttpsProxyAgent(proxy) },
  headers: grant ? { 'X-Alter-Grant': grant } : {},
  throwHttpErrors: false,
});
console.log(statusCode);
console.log(body);

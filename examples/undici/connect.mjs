// The headers of a ProxyAgent stand on the CONNECT: the grant then holds for every request of this agent.
import { ProxyAgent, request } from 'undici';

const { URL: url, GRANT: grant, HTTPS_PROXY: proxy } = process.env;
const dispatcher = new ProxyAgent({ uri: proxy, headers: { 'X-Alter-Grant': grant } });
const { statusCode, body } = await request(url, { dispatcher });
console.log(statusCode);
console.log(await body.text());

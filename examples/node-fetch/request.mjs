// Since Node 24.5 and 22.21, fetch takes the proxy from HTTPS_PROXY where NODE_USE_ENV_PROXY is 1; the CA comes from
// NODE_EXTRA_CA_CERTS.
import { openAsBlob } from 'node:fs';

const { URL: url, GRANT: grant, FILE: file } = process.env;
const response = await fetch(url, {
  headers: grant ? { 'X-Alter-Grant': grant } : {},
  ...(file ? { method: 'POST', body: await openAsBlob(file) } : {}),
});
console.log(response.status);
for await (const chunk of response.body) process.stdout.write(chunk);

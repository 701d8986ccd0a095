// The OpenAI SDK uses fetch, so NODE_USE_ENV_PROXY=1 makes it take the proxy from HTTPS_PROXY. It wants an API key to be
// set; the proxy replaces what it sends. URL is the base URL, such as https://api.openai.com/v1.
import OpenAI from 'openai';

const { URL: baseURL, GRANT: grant } = process.env;
const client = new OpenAI({
  baseURL,
  apiKey: 'unused',
  maxRetries: 0,
  defaultHeaders: grant ? { 'X-Alter-Grant': grant } : {},
});
const { data, response } = await client.chat.completions
  .create({ model: 'gpt-5', messages: [{ role: 'user', content: 'Hello' }], stream: true })
  .withResponse();
console.log(response.status);
for await (const event of data) process.stdout.write(event.choices[0]?.delta.content ?? '');

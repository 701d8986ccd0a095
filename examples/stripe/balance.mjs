// Stripe's SDK brings an agent of its own that knows no proxy. With Node's agent in its place, NODE_USE_ENV_PROXY=1 makes it
// take the proxy from HTTPS_PROXY; the CA comes from NODE_EXTRA_CA_CERTS. It wants an API key to be set; the proxy replaces
// what it sends. The grant is chosen by the user name of the proxy's address.
import https from 'node:https';
import Stripe from 'stripe';

const { hostname, port } = new URL(process.env.URL);
const stripe = new Stripe('unused', { httpAgent: https.globalAgent, host: hostname, port: port || 443 });
const balance = await stripe.balance.retrieve();
console.log(balance.lastResponse.statusCode);
console.log(JSON.stringify(balance));

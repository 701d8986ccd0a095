// The AWS SDK brings an agent of its own that knows no proxy. With Node's agent in its place, NODE_USE_ENV_PROXY=1 makes it
// take the proxy from HTTPS_PROXY; the CA comes from NODE_EXTRA_CA_CERTS.
// It does not send a request without keys to sign it with. Any will do: the proxy takes the signature out.
// URL is https://ENDPOINT/BUCKET/KEY; the grant is chosen by the user name of the proxy's address.
import https from 'node:https';
import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3';

const { origin, pathname } = new URL(process.env.URL);
const [bucket, ...key] = pathname.slice(1).split('/');
const s3 = new S3Client({
  endpoint: origin,
  forcePathStyle: true,
  region: 'us-east-1',
  credentials: { accessKeyId: 'unused', secretAccessKey: 'unused' },
  requestHandler: { httpsAgent: https.globalAgent },
});
const { Body, $metadata } = await s3.send(new GetObjectCommand({ Bucket: bucket, Key: key.join('/') }));
console.log($metadata.httpStatusCode);
console.log(await Body.transformToString());

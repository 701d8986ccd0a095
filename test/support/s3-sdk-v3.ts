/**
 * The AWS SDK for JavaScript as anybody uses it, with keys that mean nothing: called with the address of an S3, the name of
 * a bucket, and `all` for puts, gets, parts and deletes, or `more` for a list and an upload of unknown hash: the server that
 * verifies knows neither the trailing slash of the one (`/bucket/?list-type=2`) nor the trailer of the other. Prints what
 * it saw as JSON.
 */
import { globalAgent } from 'node:https';
import { Readable } from 'node:stream';
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';

const [endpoint = '', Bucket = '', what] = process.argv.slice(2);
const client = new S3Client({
  endpoint,
  forcePathStyle: true,
  maxAttempts: 1,
  requestHandler: { httpsAgent: globalAgent }, // the SDK's own agent knows no proxy
});

async function more(): Promise<object> {
  const listed = await client.send(new ListObjectsV2Command({ Bucket, Prefix: 'grün/a b+', Delimiter: '/' }));
  const Body = Readable.from([Buffer.alloc(100_000, 'a'), Buffer.alloc(50_000, 'b')], { objectMode: false });
  await client.send(new PutObjectCommand({ Bucket, Key: 'streamed', Body, ContentLength: 150_000 }));
  return { sent: 150_000, listed: (listed.Contents ?? []).map((object) => object.Key) };
}

async function isGone(Key: string): Promise<boolean> {
  try {
    const got = await client.send(new GetObjectCommand({ Bucket, Key }));
    await got.Body!.transformToString();
    return false;
  } catch (error) {
    if ((error as Error).name === 'NoSuchKey') return true;
    throw error;
  }
}

async function all(): Promise<object> {
  const keys = ['sdk/plain.txt', "sdk/a b/c+d ~!'()*.txt", 'sdk/grün/日本/💥.txt'];
  for (const Key of keys) {
    await client.send(new PutObjectCommand({ Bucket, Key, Body: `hello ${Key}`, Metadata: { a: 'one space' } }));
    const got = await client.send(new GetObjectCommand({ Bucket, Key }));
    if ((await got.Body!.transformToString()) !== `hello ${Key}`) throw new Error(`${Key} came back changed`);
  }

  const half = 5 * 1024 * 1024;
  const data = Buffer.alloc(2 * half, 'parts ');
  const Key = 'sdk/ten';
  const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key }));
  const parts: { PartNumber: number; ETag: string | undefined }[] = [];
  for (const PartNumber of [1, 2]) {
    const Body = data.subarray((PartNumber - 1) * half, PartNumber * half);
    const { ETag } = await client.send(new UploadPartCommand({ Bucket, Key, UploadId, PartNumber, Body }));
    parts.push({ PartNumber, ETag });
  }
  await client.send(new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload: { Parts: parts } }));
  const got = await client.send(new GetObjectCommand({ Bucket, Key }));
  const same = data.equals(Buffer.from(await got.Body!.transformToByteArray()));

  await client.send(new DeleteObjectCommand({ Bucket, Key }));
  return { parts: parts.length, same, gone: await isGone(Key), kept: !(await isGone(keys[0]!)) };
}

process.stdout.write(JSON.stringify(await (what === 'more' ? more() : all())));

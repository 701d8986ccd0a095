/**
 * A process that is an S3 which verifies signatures (key and secret: S3RVER), behind TLS: prints its port. Called with a
 * directory that holds `s3.key` and `s3.crt`, and the names of buckets to make. It's a process of its own because the
 * server listens for uncaught exceptions.
 */
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

interface S3Server {
  run(): Promise<{ port: number }>;
}

const [directory, ...buckets] = process.argv.slice(2);
if (directory === undefined) throw new Error('the directory is missing');
const objects = join(directory, 's3');
mkdirSync(objects);
const S3rver = createRequire(import.meta.url)('@20minutes/s3rver') as new (options: object) => S3Server;
const server = new S3rver({
  address: '127.0.0.1',
  port: 0,
  silent: true,
  directory: objects,
  key: readFileSync(join(directory, 's3.key')),
  cert: readFileSync(join(directory, 's3.crt')),
  configureBuckets: buckets.map((name) => ({ name })),
});
const { port } = await server.run();
process.stdout.write(`${port}\n`);

// The health check of the image: whether the service of this container takes requests. Says nothing but yes or no.
const listen = process.env.ALTER_OPS_LISTEN ?? '127.0.0.1:9464';
const here = listen.replace(/^0\.0\.0\.0:/, '127.0.0.1:').replace(/^\[::\]:/, '[::1]:');
try {
  const { ok } = await fetch(`http://${here}/readyz`, { signal: AbortSignal.timeout(2_500) });
  process.exitCode = ok ? 0 : 1;
} catch {
  process.exitCode = 1;
}

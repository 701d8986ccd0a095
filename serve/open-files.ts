/** What the process needs besides connections of workloads: store, audit, logs, the admin and ops listeners, libraries. */
const reserved = 128;
/** Few, but a proxy. */
const fewest = 16;

interface ReportedLimits {
  readonly userLimits?: { readonly open_files?: { readonly soft: number | string } };
}

/** How many files this process may have open; Node raises its soft limit to the hard one by itself. Infinity: no limit. */
export function findOpenFilesLimit(): number {
  // Without it, the report resolves the name of every peer. The types of Node know it from version 26 on.
  Object.assign(process.report, { excludeNetwork: true });
  const { userLimits } = process.report.getReport() as ReportedLimits;
  const soft = userLimits?.open_files?.soft;
  return typeof soft === 'number' ? soft : Number.POSITIVE_INFINITY;
}

/** How many connections fit: each has another one to an upstream. Beyond, accept() would fail, and so would the store. */
export function connectionsFor(openFiles: number): number {
  return Math.max(fewest, Math.floor((openFiles - reserved) / 2));
}

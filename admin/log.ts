/** What the control plane says about itself. A pino logger is one. Fields are chosen here one by one: never a header, a body or a query. */
export interface Log {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** The frames of a stack without the message, because the message of a foreign error may quote its input. */
export function traceOf(error: unknown): { readonly name: string; readonly frames: readonly string[] } {
  if (!(error instanceof Error)) return { name: typeof error, frames: [] };
  const frames = (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line));
  return { name: error.name, frames: frames.slice(0, 20).map((line) => line.trim()) };
}

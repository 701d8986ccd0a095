/** The variables of one process, as `process.env` has them. */
export type Environment = Readonly<Record<string, string | undefined>>;

let current: Environment | null = null;

/** Called once, by the entry point, which is the only file of this room that reads `process.env`. */
export function provideEnvironment(environment: Environment): void {
  current = environment;
}

export function getEnvironment(): Environment {
  if (current === null) throw new Error('The entry point has not provided the environment.');
  return current;
}

/** An empty variable counts as one that is not set, as it does for a shell's `${NAME:-…}`. */
export function findVariable(name: string, environment: Environment = getEnvironment()): string | null {
  const value = environment[name];
  return value === undefined || value === '' ? null : value;
}

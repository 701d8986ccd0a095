import { z } from 'zod';
import { AlterError, type Problem } from '../../core/errors.ts';

const maxProblems = 50;

/**
 * Checks an object field by field, so that the fields that are valid by themselves can be checked against each other and
 * all problems are told at once. A field that the schema does not know is a problem. Messages come from the schema and
 * never quote a value.
 */
export function checkFields<Shape extends z.ZodRawShape>(
  schema: z.ZodObject<Shape>,
  input: unknown,
): { readonly valid: Partial<z.output<z.ZodObject<Shape>>>; readonly problems: readonly Problem[] } {
  if (typeof input !== 'object' || input === null || Array.isArray(input))
    return { valid: {}, problems: [{ field: 'body', message: 'must be a JSON object' }] };
  const problems: Problem[] = [];
  const valid: Record<string, unknown> = {};
  for (const [name, field] of Object.entries(schema.shape)) {
    const isGiven = Object.hasOwn(input, name);
    const value: unknown = isGiven ? (input as Record<string, unknown>)[name] : undefined;
    const result = z.safeParse(field, value);
    if (!result.success) {
      problems.push(
        ...(isGiven
          ? result.error.issues.map((issue) => problemOf(issue, name))
          : [{ field: name, message: 'is missing' }]),
      );
    } else if (result.data !== undefined) valid[name] = result.data;
  }
  for (const name of Object.keys(input))
    if (!Object.hasOwn(schema.shape, name))
      problems.push({ field: printable(name), message: 'is not a field of this request' });
  return { valid: valid as Partial<z.output<z.ZodObject<Shape>>>, problems };
}

/** Throws `validation_failed` with every problem; returns the fields where there is none. */
export function parseFields<Shape extends z.ZodRawShape>(
  schema: z.ZodObject<Shape>,
  input: unknown,
  check: (valid: Partial<z.output<z.ZodObject<Shape>>>) => readonly Problem[] = () => [],
): z.output<z.ZodObject<Shape>> {
  const { valid, problems } = checkFields(schema, input);
  const refused = new Set(problems.map(({ field }) => rootOf(field)));
  // A field that is wrong by itself is absent from `valid`: what follows from its absence is not a second problem.
  refuse([...problems, ...check(valid).filter(({ field }) => !refused.has(rootOf(field)))]);
  return valid as z.output<z.ZodObject<Shape>>;
}

/** Throws `validation_failed` where there is a problem. */
export function refuse(problems: readonly Problem[]): void {
  if (problems.length === 0) return;
  const unique = [...new Map(problems.map((problem) => [`${problem.field} ${problem.message}`, problem])).values()];
  throw new AlterError('validation_failed', {
    detail: unique
      .slice(0, 3)
      .map(({ field, message }) => `${field} ${message}`)
      .join('; '),
    problems: unique.slice(0, maxProblems),
  });
}

function rootOf(field: string): string {
  return field.split(/[.[]/, 1)[0]!;
}

function problemOf(issue: z.core.$ZodIssue, name: string): Problem {
  const field = issue.path.reduce<string>(
    (path, part) => (typeof part === 'number' ? `${path}[${part}]` : `${path}.${printable(String(part))}`),
    name,
  );
  return { field, message: messageOf(issue) };
}

function messageOf(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return `must be ${/^[aeiou]/.test(issue.expected) ? 'an' : 'a'} ${issue.expected === 'record' ? 'object' : issue.expected}`;
    case 'too_big':
      return `must be at most ${issue.maximum}${unitOf(issue.origin)}`;
    case 'too_small':
      return `must be at least ${issue.minimum}${unitOf(issue.origin)}`;
    case 'invalid_value':
      return `must be one of ${issue.values.map(String).join(', ')}`;
    case 'unrecognized_keys':
      return `has a field that is not known here: ${issue.keys.map(printable).join(', ')}`;
    case 'custom':
      return issue.message; // ours, from the schema
    default:
      return 'is not valid';
  }
}

function unitOf(origin: string): string {
  if (origin === 'string') return ' characters long';
  return origin === 'array' ? ' items long' : '';
}

/** The name of an unknown field is shown to the one who sent it, but bounded and without control characters. */
function printable(name: string): string {
  return name.replace(/[^\x20-\x7e]/g, '?').slice(0, 64);
}

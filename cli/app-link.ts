import { existsSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { isId } from '../core/id.ts';
import { usageFailure } from './failure.ts';
import { parseJsonObject, readTextFile } from './file-argument.ts';

const fileName = '.alter-link.json';

/** The id of the app that the directory, or the nearest one above it, is linked to; null where none is. Throws with exit code 2. */
export function findLinkedApp(directory: string): string | null {
  for (let at = directory; ; at = dirname(at)) {
    const path = join(at, fileName);
    if (existsSync(path)) {
      const { app_id: appId } = parseJsonObject(readTextFile(path, path), path);
      if (typeof appId === 'string' && isId(appId)) return appId;
      throw usageFailure(`${path} does not hold the id of an app.`, 'Link again with `alter link APP`.');
    }
    if (dirname(at) === at) return null;
  }
}

/** Holds the id and nothing else, so that it can be checked in. Gives the path. */
export function storeLinkedApp(directory: string, appId: string): string {
  const path = join(directory, fileName);
  writeFileSync(path, `${JSON.stringify({ app_id: appId })}\n`);
  return path;
}

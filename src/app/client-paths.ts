/** Paths as the client sees them, if it runs in a container or on another host (`path_map`). */
import { join, relative } from 'node:path';
import type { Config } from '../config/config.ts';
import { isWithin } from '../config/paths.ts';

/** Translates the absolute `path` by the longest `own` that equals or contains it; without one it stays as it is. */
export function clientPath(pathMap: Config['pathMap'], path: string): string {
  let best: Config['pathMap'][number] | undefined;
  for (const mapped of pathMap) {
    if (isWithin(path, mapped.own) && mapped.own.length > (best?.own.length ?? 0)) best = mapped;
  }
  return best === undefined ? path : join(best.client, relative(best.own, path));
}

/**
 * Tells if `path`, as the client sees it, is `own`, as we see it, or lies below it. `spellings`: other forms that a path of the client
 * has in its replies.
 */
export function liesBelow(
  pathMap: Config['pathMap'],
  path: string,
  own: string,
  spellings: (path: string) => readonly string[] = () => [],
): boolean {
  if (spellings(clientPath(pathMap, own)).some((spelled) => isWithin(path, spelled))) return true;
  const mapped = pathMap.filter(({ client }) => isWithin(path, client));
  const ours = [path, ...mapped.map((one) => join(one.own, relative(one.client, path)))];
  return ours.some((one) => isWithin(one, own) && clientPath(pathMap, one) === path);
}

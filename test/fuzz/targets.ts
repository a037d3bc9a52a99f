/** The fuzz targets by name. */
import { PLANTED } from './planted.ts';
import type { FuzzTarget } from './target.ts';

const MODULES: Readonly<Record<string, () => Promise<{ readonly target: FuzzTarget }>>> = {
  metainfo: () => import('./targets/metainfo.ts'),
  plan: () => import('./targets/plan.ts'),
  zip: () => import('./targets/zip.ts'),
  rar4: () => import('./targets/rar4.ts'),
  rar5: () => import('./targets/rar5.ts'),
  media: () => import('./targets/media.ts'),
  configuration: () => import('./targets/configuration.ts'),
  rencode: () => import('./targets/rencode.ts'),
  'xml-rpc': () => import('./targets/xml-rpc.ts'),
  json: () => import('./targets/json.ts'),
  replies: () => import('./targets/replies.ts'),
  'fuse-requests': () => import('./targets/fuse-requests.ts'),
  absence: () => import('./targets/absence.ts'),
  control: () => import('./targets/control.ts'),
  'index-messages': () => import('./targets/index-messages.ts'),
  'index-frames': () => import('./targets/index-frames.ts'),
};

export const TARGETS: readonly string[] = Object.keys(MODULES);

export async function loadTarget(name: string): Promise<FuzzTarget> {
  const target = PLANTED[name] ?? (await MODULES[name]?.())?.target;
  if (target === undefined) throw new Error(`there is no fuzz target ${name}`);
  return target;
}

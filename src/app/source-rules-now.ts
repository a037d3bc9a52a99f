/** Which folders may hold sources now: nothing on a disk that was released is opened. */
import type { Config } from '../config/config.ts';
import { sourceRules } from '../config/source-rules.ts';
import type { ControlClient } from '../control/client.ts';
import { isAtOrBelow } from '../native/mountinfo.ts';
import type { SourceRules } from '../source/source-folders.ts';
import { findServer } from './server-connection.ts';

/**
 * Asks the server, if one runs, which disks are released. What is released later ends the server's children, and no command of a
 * person.
 */
export async function sourceRulesNow(
  config: Config,
  server: Pick<ControlClient, 'cases'> | undefined,
): Promise<SourceRules> {
  return { ...sourceRules(config), released: (await server?.cases.released()) ?? [] };
}

/** Lists the folders on released disks that lie at, below or above one of `folders`. None if no server runs. */
export async function releasedBelow(config: Config, folders: readonly string[]): Promise<readonly Buffer[]> {
  const released = (await (await findServer(config))?.cases.released()) ?? [];
  return released.filter((one) =>
    folders.map((folder) => Buffer.from(folder)).some((folder) => isAtOrBelow(one, folder) || isAtOrBelow(folder, one)),
  );
}

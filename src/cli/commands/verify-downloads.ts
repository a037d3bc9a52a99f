/** `autotorrent verify-downloads`: run by the server, which reads what it prints (`server/processes/download-watch.ts`). */

import { verifyDownloads } from '../../server/children/verify-downloads.ts';
import type { VerifierLine } from '../../server/processes/download-watch.ts';
import type { CommandContext } from '../command.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';

export interface VerifyDownloadsFlags {
  readonly unasked?: readonly string[];
}

export async function verifyDownloadsCommand(
  context: CommandContext,
  infoHashes: readonly string[],
  { unasked = [] }: VerifyDownloadsFlags,
): Promise<ExitCode> {
  await verifyDownloads(await context.configOf(''), {
    infoHashes,
    unasked: new Set(unasked),
    configOf: (section) => context.configOf(section),
    logger: context.terminal.logger,
    signal: context.signal,
    report: (line) => context.terminal.print(JSON.stringify(line satisfies VerifierLine)),
  });
  return EXIT.done;
}

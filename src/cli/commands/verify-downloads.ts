/** `autotorrent verify-downloads`: run by the server, which reads its output (`server/processes/download-watch.ts`). */

import type { VerifierLine } from '../../server/processes/download-watch.ts';
import type { CommandContext, Definer } from '../command.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';

interface VerifyDownloadsFlags {
  readonly unasked?: readonly string[];
}

export function defineVerifyDownloads(define: Definer): void {
  define
    .hidden('verify-downloads [infoHash...]')
    .option('--unasked <infoHash...>')
    .action((infoHashes: string[], flags: VerifyDownloadsFlags) =>
      define.run((context) => verify(context, infoHashes, flags)),
    );
}

async function verify(
  context: CommandContext,
  infoHashes: readonly string[],
  { unasked = [] }: VerifyDownloadsFlags,
): Promise<ExitCode> {
  const { verifyDownloads } = await import('../../server/children/verify-downloads.ts');
  await verifyDownloads(await context.configOf(''), {
    infoHashes,
    unasked: new Set(unasked),
    configOf: (section) => context.configOf(section),
    logger: context.terminal.logger,
    signal: context.signal,
    report: (line) => context.terminal.printJsonLine(line satisfies VerifierLine),
  });
  return EXIT.done;
}

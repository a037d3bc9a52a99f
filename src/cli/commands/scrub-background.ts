/** `autotorrent scrub-background`: run by the server, which reads its output (`server/processes/scrub.ts`). */
import type { CommandContext, Definer } from '../command.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';

export function defineScrubBackground(define: Definer): void {
  define.hidden('scrub-background').action(() => define.run(scrubBackground));
}

async function scrubBackground(context: CommandContext): Promise<ExitCode> {
  const { scrubInBackground } = await import('../../server/children/scrub.ts');
  await scrubInBackground(await context.configOf(''), {
    logger: context.terminal.logger,
    signal: context.signal,
    answers: process.stdin,
    say: (line) => context.terminal.printJsonLine(line),
  });
  return EXIT.done;
}

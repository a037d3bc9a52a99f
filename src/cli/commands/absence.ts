/** `autotorrent absence look|resume|stop`: run by the server, which reads what it prints (`server/processes/absence.ts`). */

import { AutotorrentError } from '../../errors.ts';
import { lookBeforeMount } from '../../server/children/absence/look.ts';
import { resumeAfterAbsence } from '../../server/children/absence/resume.ts';
import { stopForAbsence } from '../../server/children/absence/stop.ts';
import type { AbsenceLine } from '../../server/processes/absence.ts';
import type { CommandContext } from '../command.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';

export async function absence(context: CommandContext, what: string): Promise<ExitCode> {
  const work = { look: lookBeforeMount, resume: resumeAfterAbsence, stop: stopForAbsence }[what];
  if (work === undefined) {
    throw new AutotorrentError('USAGE', `${what} is none of look, resume and stop`, {
      hint: 'autotorrent unmount and autotorrent mount do this',
    });
  }
  await work(await context.configOf(''), {
    configOf: (section) => context.configOf(section),
    say: (level, message) => context.terminal.print(JSON.stringify({ level, message } satisfies AbsenceLine)),
  });
  return EXIT.done;
}

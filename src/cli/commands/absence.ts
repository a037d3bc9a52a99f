/**
 * `autotorrent absence look|resume|stop`: run by the server, which reads its output (`server/processes/absence.ts`).
 */
import { AutotorrentError } from '../../errors.ts';
import type { AbsenceLine } from '../../server/processes/absence.ts';
import type { CommandContext, Definer } from '../command.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';

export function defineAbsence(define: Definer): void {
  define.hidden('absence <what>').action((what: string) => define.run((context) => absence(context, what)));
}

async function absence(context: CommandContext, what: string): Promise<ExitCode> {
  const work = await workOf(what);
  await work(await context.configOf(''), {
    configOf: (section) => context.configOf(section),
    say: (level, message) => context.terminal.printJsonLine({ level, message } satisfies AbsenceLine),
  });
  return EXIT.done;
}

async function workOf(what: string) {
  if (what === 'look') return (await import('../../server/children/absence/look.ts')).lookBeforeMount;
  if (what === 'resume') return (await import('../../server/children/absence/resume.ts')).resumeAfterAbsence;
  if (what === 'stop') return (await import('../../server/children/absence/stop.ts')).stopForAbsence;
  throw new AutotorrentError('USAGE', `${what} is not one of look, resume and stop`, {
    hint: 'autotorrent unmount and autotorrent mount do this',
  });
}

/** `autotorrent relocate FROM TO` */
import { type CommandContext, type Definer, helpEnding } from '../command.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { relocatedJson } from '../json.ts';

export function defineRelocate(define: Definer): void {
  define
    .command('relocate <from> <to>', 'record the sources below one folder below another, where they are now')
    .addHelpText(
      'after',
      helpEnding({
        examples: ['autotorrent relocate /mnt/old/films /mnt/new/films'],
        exits: ['3  at least one source stays as it was: it is not below the new folder, or has other bytes there'],
      }),
    )
    .action((from: string, to: string) => define.run((context) => run(context, from, to)));
}

async function run(context: CommandContext, from: string, to: string): Promise<ExitCode> {
  const { terminal, cwd, signal } = context;
  const { relocate } = await import('../../app/settling/relocate.ts');
  const found = await relocate(await context.config(), {
    from,
    to,
    cwd,
    signal,
    logger: terminal.logger,
    onProgress: (sources) => terminal.progress(`looked at ${sources} source(s)`),
  });
  const { relocated, doubted, missing, different, skipped, example } = found;
  const left = missing + different + skipped;
  if (terminal.json) terminal.printJson(relocatedJson(found));
  else {
    const hashed = doubted === 0 ? '' : `; ${doubted} of them are hashed as they are read`;
    terminal.print(`${relocated} source(s) are recorded below ${to} now${hashed}`);
    if (left > 0) {
      const one = example === undefined ? '' : `, ${example.toString()} for one`;
      const meanwhile = skipped === 0 ? '' : `, ${skipped} changed meanwhile`;
      terminal.print(
        `${left} stay as they were: ${missing} are not there, ${different} have other bytes there${meanwhile}${one}`,
      );
    }
  }
  if (missing + skipped > 0) terminal.note('The same command goes on with them when they are there.');
  return left > 0 ? EXIT.incomplete : EXIT.done;
}

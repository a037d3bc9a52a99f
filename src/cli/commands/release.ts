/** `autotorrent release DISK` */
import { type CommandContext, type Definer, helpEnding } from '../command.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { releasedJson } from '../json.ts';

export function defineRelease(define: Definer): void {
  define
    .command('release <disk>', 'close every file of a disk, so that it can be unmounted while the server runs')
    .addHelpText('after', helpEnding({ examples: ['autotorrent release /mnt/disk2', 'autotorrent release disk2'] }))
    .action((disk: string) => define.run((context) => release(context, disk)));
}

async function release(context: CommandContext, disk: string): Promise<ExitCode> {
  const { terminal, cwd } = context;
  const { releaseDisk } = await import('../../app/release.ts');
  const released = await releaseDisk(await context.config(), disk, cwd);
  if (terminal.json) {
    terminal.printJson(releasedJson(released));
    return EXIT.done;
  }
  const { mountPoints, sources, open } = released;
  const places = mountPoints.map((path) => path.toString()).join(', ');
  terminal.print(`Released ${places}: ${sources} source(s) wait until it is mounted again`);
  if (open === 0)
    terminal.note('Unmount it now: it stays released until it is mounted again, or the server is started anew.');
  else terminal.logger.warn(`${open} file(s) on it are being read still: try umount in a moment`);
  return EXIT.done;
}

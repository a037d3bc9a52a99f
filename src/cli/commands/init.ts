/** `autotorrent init [FILE]`, and the original's `--create_config [FILE]`. */
import { homedir } from 'node:os';
import { resolve } from 'node:path';
import type { TriedClient } from '../../app/init.ts';
import { askSecret } from '../ask-secret.ts';
import { type CommandContext, type Definer, helpEnding } from '../command.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';

/** `named`: the file to write; the default is the file of `-c`, else ./autotorrent.conf. */
/** How files can be protected before anything happens to them. */
const PROTECTION = [
  'protect = reflink keeps your files as torrents need them, whatever is done to them, writes in place included, on btrfs and XFS; it takes room only as they change.',
  'protect = hardlink keeps them when they are deleted or replaced, not when they are written to in place, on file systems with hard links; it takes the room of those that are deleted.',
  'Without it (off) what would be lost is kept in the moment, as far as rescue_limit and rescue_total allow.',
];

export function defineInit(define: Definer): void {
  define
    .command(
      'init [file]',
      'write a commented configuration with the torrent clients of this machine; never overwrites',
    )
    .addHelpText('after', helpEnding({ examples: ['autotorrent init', 'autotorrent init ~/autotorrent.conf'] }))
    .action((file: string | undefined) => define.run((context) => init(context, file)));
}

export async function init(context: CommandContext, named?: string): Promise<ExitCode> {
  const { terminal, env, cwd } = context;
  const file = resolve(cwd, named ?? context.configFile ?? 'autotorrent.conf');
  const home = env['HOME'] === undefined || env['HOME'] === '' ? homedir() : env['HOME'];
  const { initConfig } = await import('../../app/init.ts');
  const clients = await initConfig({
    file,
    places: { home, xdgConfig: env['XDG_CONFIG_HOME'], root: '/' },
    askPassword: async (question) => await askSecret(context, question),
  });
  if (terminal.json) {
    terminal.printJson({ file, clients });
    return EXIT.done;
  }
  for (const client of clients) {
    terminal.print(sentence(client));
    if (client.exposed !== undefined) terminal.logger.warn(client.exposed);
  }
  if (clients.length === 0) terminal.print('No torrent client of this machine was found: fill in [client] yourself.');
  terminal.print(`Wrote ${file}: edit it, then run autotorrent rebuild`);
  for (const line of PROTECTION) terminal.note(line);
  return EXIT.done;
}

function sentence({ client, from, address, answer, section, problem }: TriedClient): string {
  const where = address === undefined ? `${client} (${from})` : `${client} at ${address} (${from})`;
  if (answer !== undefined) return `${where}: ${answer} answers: [${section ?? ''}]`;
  return `${where} cannot be used yet: ${problem ?? ''}`;
}

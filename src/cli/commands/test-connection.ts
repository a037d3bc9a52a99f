/** `autotorrent test-connection` */
import { type CommandContext, type Definer, helpEnding } from '../command.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';

export function defineTestConnection(define: Definer): void {
  define
    .command('test-connection', 'connect to the client and print its version')
    .addHelpText('after', helpEnding({ examples: ['autotorrent -l deluge test-connection'] }))
    .action(() => define.run(testConnection));
}

export async function testConnection(context: CommandContext): Promise<ExitCode> {
  const { testConnection: connect } = await import('../../app/test-connection.ts');
  const report = await connect(await context.config());
  if (context.terminal.json) context.terminal.printJson(report);
  else context.terminal.print(`Connected to ${report.name} ${report.version}, which has ${report.torrents} torrent(s)`);
  if (report.exposed !== undefined) context.terminal.logger.warn(report.exposed);
  return EXIT.done;
}

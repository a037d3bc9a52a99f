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
  const { configOf, terminal } = context;
  const report = await connect(await context.config(), { configOf, logger: terminal.logger });
  if (terminal.json) terminal.printJson(report);
  else terminal.print(`Connected to ${report.name} ${report.version}, which has ${report.torrents} torrent(s)`);
  if (report.exposed !== undefined) terminal.logger.warn(report.exposed);
  return EXIT.done;
}

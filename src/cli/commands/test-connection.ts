/** `autotorrent test-connection` */
import { testConnection as connect } from '../../app/test-connection.ts';
import type { CommandContext } from '../command.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';

export async function testConnection(context: CommandContext): Promise<ExitCode> {
  const report = await connect(await context.config());
  if (context.terminal.json) context.terminal.printJson(report);
  else context.terminal.print(`Connected to ${report.name} ${report.version}, which has ${report.torrents} torrent(s)`);
  return EXIT.done;
}

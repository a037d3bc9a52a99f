/** `autotorrent status` */

import { bytes, duration } from '../../app/quantities.ts';
import { requireServer } from '../../app/server-connection.ts';
import type { StatusMessage } from '../../control/messages.ts';
import { printable } from '../../logger.ts';
import type { CommandContext } from '../command.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';

export async function status(context: CommandContext): Promise<ExitCode> {
  const { terminal } = context;
  const server = await requireServer(await context.config());
  const message = await server.status();
  if (terminal.json) terminal.printJson(message);
  else for (const line of lines(message)) terminal.print(printable(line));
  return EXIT.done;
}

function lines(status: StatusMessage): string[] {
  const audience = status.visible_to === 'everyone' ? 'all users' : 'its owner only';
  return [
    `mount    ${status.mount_point}, for ${audience}${status.read_only ? ', read-only' : ''}`,
    `server   autotorrent ${status.version}, process ${status.pid}, driver ${status.driver}, up ${duration(status.uptime_seconds)}`,
    `entries  ${status.entries}${status.adding === 0 ? '' : `, ${status.adding} of them not confirmed by a client`}`,
    `reads    ${status.reads} of ${bytes(status.bytes_read)}, ${status.read_errors} failed; ` +
      `${status.opens} opens, ${status.open_handles} open now`,
    `writes   ${status.writes} of ${bytes(status.bytes_written)}; the overlay takes ` +
      (status.overlay_bytes === null ? 'what is still being counted' : bytes(status.overlay_bytes)),
    ...status.overlay_problems.map(({ path, problem }) => `overlay  ${path}: ${problem}`),
    ...status.broken_entries.map((name) => `broken   ${name}`),
    ...status.broken_sources.map(
      ({ path, reason, served_from: spare }) =>
        `source   ${path}: ${reason}${spare === undefined ? '' : `; ${spare} is served instead`}`,
    ),
  ];
}

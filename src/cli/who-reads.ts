/** Says who may read the files of a mount that all users see. */

const GROUP_READ = 0o040;
const OTHERS_READ = 0o004;

export interface Reader {
  readonly user: string;
  readonly group: string;
  /** The user is the owner since the client runs as this one. */
  readonly isClients: boolean;
}

/** One line for the start of the server; `umask` as in the configuration. */
export function whoReads({ user, group, isClients }: Reader, umask: number): string {
  const others = (umask & OTHERS_READ) === 0;
  const readers = (umask & GROUP_READ) !== 0 ? [] : others ? ['everybody else'] : [`group ${group}`];
  const rest =
    readers.length === 0
      ? 'nobody else does (umask)'
      : `${readers.join()} reads only files whose sources on the disks let them`;
  const whose = isClients ? `User ${user}, as whom the client runs,` : `User ${user}`;
  return `${whose} reads all files; ${rest}. A client that runs as another user needs owner = USER:GROUP.`;
}

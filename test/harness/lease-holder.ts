/** A program that has a file for itself, by a write lease, as Samba does for its clients (`kernel oplocks`). */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants, readFileSync, writeFileSync } from 'node:fs';

const BREAK_TIME = '/proc/sys/fs/lease-break-time';

const SCRIPT = `
import fcntl, os, select, signal, sys, time
seconds = float(sys.argv[1])
GET, SET = 1025, 1024
held, due = [], {}
signal.signal(signal.SIGIO, lambda *_: None)
for path in sys.argv[2:]:
    fd = os.open(os.fsencode(path), os.O_RDWR)
    fcntl.fcntl(fd, SET, fcntl.F_WRLCK)
    held.append(fd)
print('held', flush=True)
while not select.select([sys.stdin], [], [], 0.01)[0]:
    now = time.monotonic()
    for fd in held:
        if fd not in due and fcntl.fcntl(fd, GET) != fcntl.F_WRLCK: due[fd] = now + seconds
    for fd in [fd for fd in held if seconds >= 0 and due.get(fd, now + 1) <= now]:
        fcntl.fcntl(fd, SET, fcntl.F_UNLCK)
        held.remove(fd)
print(len(due), flush=True)
`;

export class LeaseHolder {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** Holds leases on files, and gives one back so many seconds after somebody has asked for it; undefined: never. */
  static async start(paths: readonly string[], seconds?: number): Promise<LeaseHolder> {
    const args = ['-c', SCRIPT, String(seconds ?? -1), ...paths];
    const child = spawn('python3', args, { stdio: ['pipe', 'pipe', 'inherit'] });
    const said = await Promise.race([once(child.stdout, 'data'), once(child, 'exit')]);
    if (String(said).trim() !== 'held') throw new Error('no leases are held');
    return new LeaseHolder(child);
  }

  /** Has it end. Tells of how many files it was asked for the lease. */
  async close(): Promise<number> {
    const { stdin, stdout } = this.#child;
    if (stdin === null || stdout === null) throw new Error('it has no pipes');
    const answer = once(stdout, 'data');
    stdin.end();
    return Number(String(await answer));
  }
}

/** Has the kernel take leases back after so many seconds, while `work` runs. Only root may. */
export async function withBreakTime<T>(seconds: number, work: () => Promise<T>): Promise<T> {
  const before = readFileSync(BREAK_TIME, 'latin1');
  writeFileSync(BREAK_TIME, String(seconds));
  try {
    return await work();
  } finally {
    writeFileSync(BREAK_TIME, before);
  }
}

/** Reason for which a test that needs `withBreakTime` is left out; false: it is not. */
export const NEEDS_BREAK_TIME: string | false = mayWrite() ? false : 'the time of the kernel cannot be set';

function mayWrite(): boolean {
  try {
    accessSync(BREAK_TIME, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

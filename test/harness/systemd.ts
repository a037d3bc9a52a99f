/**
 * A systemd of its own, beside the machine's init: the first process of new namespaces, with control groups of its own and
 * only the units that it is given. Needs root. Nothing outside sees it or its mounts.
 */
import { execFile } from 'node:child_process';
import { mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { startDaemon, waitUntil } from './daemon.ts';
import { temporaryFolder } from './folder.ts';

/** `$1`: its folder. Each hierarchy of control groups gets a group, which systemd sees as the root. */
const ENTER = `
set -e
while IFS=: read -r _ controllers path; do
  for root in "/sys/fs/cgroup/\${controllers#name=}" /sys/fs/cgroup/unified /sys/fs/cgroup; do
    [ -e "$root/cgroup.procs" ] && break
  done
  parent="$root\${path%/}"
  own="$parent/autotorrent-$$"
  mkdir "$own" || continue
  echo "$own" >> "$1/groups"
  for file in cpuset.cpus cpuset.mems; do
    [ ! -e "$own/$file" ] || cat "$parent/$file" > "$own/$file"
  done
  echo $$ > "$own/cgroup.procs"
done < /proc/self/cgroup
exec unshare --kill-child --fork --pid --mount --uts --ipc --cgroup sh "$1/begin" "$1"
`;
const BEGIN = `
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd /run/lock
mount -t proc proc /proc
if grep -q name=systemd /proc/self/cgroup; then
  mount -t tmpfs tmpfs /sys/fs/cgroup
  mkdir /sys/fs/cgroup/systemd
  mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd
else
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
fi
export container=test SYSTEMD_UNIT_PATH="$1/units"
exec /lib/systemd/systemd --system --unit=multi-user.target --log-target=console --show-status=no
`;
/** The units that others refer to, or that are reached without any. */
const TARGETS = ['basic', 'local-fs', 'multi-user', 'network-online', 'off', 'shutdown', 'sysinit', 'system'];

const run = promisify(execFile);

export class Systemd {
  readonly #folder: string;
  readonly #process: Awaited<ReturnType<typeof startDaemon>>;
  #init = 0;

  private constructor(folder: string, process: Awaited<ReturnType<typeof startDaemon>>) {
    this.#folder = folder;
    this.#process = process;
  }

  /** Boots `units`, by name; each is started, as wanted by multi-user.target. Resolves when each has started or failed. */
  static async boot(units: Readonly<Record<string, string>>): Promise<Systemd> {
    const folder = temporaryFolder('systemd');
    const wanted = join(folder, 'units', 'multi-user.target.wants');
    await mkdir(wanted, { recursive: true });
    for (const target of TARGETS) {
      const lines = ['[Unit]', 'DefaultDependencies=no', 'AllowIsolate=yes', ''];
      await writeFile(join(folder, 'units', `${target}.target`), lines.join('\n'));
    }
    for (const [name, text] of Object.entries(units)) {
      await writeFile(join(folder, 'units', name), text);
      await symlink(`../${name}`, join(wanted, name));
    }
    await writeFile(join(folder, 'begin'), BEGIN);
    const process = await startDaemon('sh', ['-c', ENTER, 'sh', folder], { cwd: folder });
    const systemd = new Systemd(folder, process);
    try {
      await waitUntil('systemd has started its units', () => systemd.#isUp(), { daemon: process });
    } catch (error) {
      await systemd.end();
      throw error;
    }
    return systemd;
  }

  async #isUp(): Promise<boolean> {
    const { pid } = this.#process;
    this.#init = Number((await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).trim());
    if (this.#init === 0) return false;
    const { stdout } = await this.systemctl('list-jobs', '--no-legend').catch(() => ({ stdout: 'not yet' }));
    return stdout.trim() === '' && (await this.systemctl('is-active', 'multi-user.target')).stdout.trim() === 'active';
  }

  /** Gives its output, whatever its exit status: systemd reports the state of units by that. */
  async systemctl(...args: readonly string[]): Promise<{ readonly stdout: string; readonly stderr: string }> {
    try {
      return await this.within('systemctl', ...args);
    } catch (error) {
      const { stdout, stderr } = error as { stdout?: string; stderr?: string };
      if (stdout === undefined || stderr === undefined || stderr !== '') throw error;
      return { stdout, stderr };
    }
  }

  /** Runs a command in its namespaces, where its mounts are visible. */
  async within(command: string, ...args: readonly string[]): Promise<{ stdout: string; stderr: string }> {
    return await run('nsenter', ['-t', String(this.#init), '-m', '-p', command, ...args]);
  }

  output(): string {
    return this.#process.output();
  }

  /** Ends it at once, with all that it runs, as a power failure does. */
  async end(): Promise<void> {
    await this.#process.stop('SIGKILL');
    const groups = await readFile(join(this.#folder, 'groups'), 'utf8').catch(() => '');
    for (const group of groups.split('\n').filter((line) => line !== '')) {
      await waitUntil('its control groups are empty', async () => {
        await run('find', [group, '-depth', '-type', 'd', '-delete']);
        return true;
      });
    }
    await rm(this.#folder, { recursive: true, force: true });
  }
}

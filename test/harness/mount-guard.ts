/**
 * Unmounts what a test mounted, whatever becomes of the test: at the end of its process, and, by a process of its own, after
 * `kill -9`. Mounts are detached lazily, so that a process that still reads from one keeps nothing mounted.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';

/** Reads mount points, a line each, and detaches them, the newest first, when its input ends: with the test's process. */
const SCRIPT = `
list=
while IFS= read -r path; do list="$path
$list"; done
printf '%s' "$list" | while IFS= read -r path; do umount -l "$path" 2>/dev/null; done`;

let guard: ChildProcess | undefined;
const mounted: string[] = [];

/** Call it before `path` is mounted. Paths with a line feed are not for tests. */
export function guardMount(path: string): void {
  if (mounted.includes(path)) return;
  if (guard === undefined) {
    // A session of its own: Ctrl-C ends the tests, and the guard after them.
    guard = spawn('sh', ['-c', SCRIPT], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
    guard.unref();
    (guard.stdin as unknown as { unref(): void }).unref();
    // Before the temporary folders are removed.
    process.prependOnceListener('exit', () => {
      for (const path of mounted.toReversed()) spawnSync('umount', ['-l', path], { stdio: 'ignore' });
    });
  }
  mounted.push(path);
  guard.stdin?.write(`${path}\n`);
}

/** A program that opens many files for writing at the same moment, a thread for each. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

const SCRIPT = `
import os, sys, threading, time
paths = sys.stdin.readline()[:-1].split('\\0')
waits, go = [], threading.Event()
threading.stack_size(256 * 1024)
def write(path):
    go.wait()
    began = time.monotonic()
    fd = os.open(path, os.O_WRONLY)
    waits.append(time.monotonic() - began)
    os.close(fd)
threads = [threading.Thread(target=write, args=(path,)) for path in paths]
for thread in threads: thread.start()
print('ready', flush=True)
sys.stdin.readline()
go.set()
for thread in threads: thread.join()
print(max(waits), flush=True)
`;

export interface WritersAtOnce {
  /** Has them open the files. Resolves with the seconds that the last one has waited, once all have closed their files. */
  readonly go: () => Promise<number>;
}

/** Starts one. It opens nothing before `go`. */
export async function writersAtOnce(paths: readonly string[]): Promise<WritersAtOnce> {
  const { stdin, stdout } = spawn('python3', ['-c', SCRIPT], { stdio: ['pipe', 'pipe', 'inherit'] });
  // A line may come in parts.
  const lines = createInterface({ input: stdout });
  const ready = once(lines, 'line');
  stdin.write(`${paths.join('\0')}\n`);
  await ready;
  return {
    async go() {
      const longest = once(lines, 'line');
      stdin.end('\n');
      return Number(String(await longest));
    },
  };
}

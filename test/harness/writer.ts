/** A program that opens a file for writing, in a process of its own: it may be held up by a lease. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

/** How the file is opened. `appends` and the others write; `reads` opens it for writing alone. */
export type Opening = 'writes' | 'nothing' | 'O_TRUNC' | 'truncate' | 'O_NONBLOCK';

const SCRIPT = `
import os, sys, time
path, how = os.fsencode(sys.argv[1]), sys.argv[2]
flags = {'O_TRUNC': os.O_TRUNC, 'O_NONBLOCK': os.O_NONBLOCK}.get(how, 0)
print('started', flush=True)
began = time.monotonic()
try:
    if how == 'truncate': os.truncate(path, 3)
    else:
        fd = os.open(path, os.O_WRONLY | flags)
        if how == 'writes': os.pwrite(fd, b'written', 0)
    print('opened', time.monotonic() - began, flush=True)
except OSError as error: print(error.errno, flush=True)
sys.stdin.read()
`;

export class Writer {
  readonly #child: ChildProcess;
  #output = '';
  #ended = false;

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.stdout?.on('data', (chunk: Buffer) => {
      this.#output += chunk.toString();
    });
    child.once('exit', () => {
      this.#ended = true;
    });
  }

  /** Starts one, which is about to open the file when this resolves. It has the file open until `close`. */
  static async start(path: string, how: Opening = 'writes'): Promise<Writer> {
    const writer = new Writer(spawn('python3', ['-c', SCRIPT, path, how], { stdio: ['pipe', 'pipe', 'inherit'] }));
    await writer.#said(/^started$/m);
    return writer;
  }

  /** Resolves with the seconds for which it was held up, or with the number of the error. */
  async opened(): Promise<{ readonly seconds: number } | { readonly errno: number }> {
    const [, seconds, errno] = await this.#said(/^opened (.+)$|^(\d+)$/m);
    return seconds === undefined ? { errno: Number(errno) } : { seconds: Number(seconds) };
  }

  /** True while it is held up. */
  get waits(): boolean {
    return !/^opened|^\d/m.test(this.#output);
  }

  /** Has it close the file and end. */
  async close(): Promise<void> {
    if (this.#ended) return;
    const exit = once(this.#child, 'exit');
    this.#child.stdin?.end();
    await exit;
  }

  async #said(words: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const found = words.exec(this.#output);
      if (found !== null) return found;
      if (this.#ended || this.#child.stdout === null) throw new Error(`the writer has ended: ${this.#output}`);
      await once(this.#child.stdout, 'data');
    }
  }
}

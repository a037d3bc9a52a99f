/** A program that changes many files at the same moment, a thread for each: what leases hold up goes on by itself. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

/**
 * What is done to a file. `write`: a few bytes at `offset`, in place. `anew`: its content after the first `offset` bytes, behind
 * other ones, from its beginning, as tag editors do that have no padding. `truncate`: to `offset` bytes.
 */
export interface Edit {
  readonly path: string;
  readonly kind: 'write' | 'anew' | 'truncate' | 'delete';
  readonly offset: number;
}

/** When an edit was let go on (`open` or `truncate` has ended) and for how long it had waited. Milliseconds, since 1970. */
export interface Edited {
  readonly openedMs: number;
  readonly waitedMs: number;
}

const SCRIPT = `
import json, os, sys, threading, time
edits = json.loads(sys.stdin.readline())
go, lock = threading.Event(), threading.Lock()
threading.stack_size(256 * 1024)
def edit(number, path, kind, offset):
    path = os.fsencode(path)
    if kind == 'anew':
        with open(path, 'rb') as file: content = os.urandom(333) + file.read()[offset:]
    go.wait()
    began = time.monotonic()
    fd = -1
    if kind == 'delete': os.unlink(path)
    elif kind == 'truncate': os.truncate(path, offset)
    else: fd = os.open(path, os.O_WRONLY | (os.O_TRUNC if kind == 'anew' else 0))
    opened, waited = time.time() * 1000, (time.monotonic() - began) * 1000
    with lock: print(json.dumps({'number': number, 'openedMs': opened, 'waitedMs': waited}), flush=True)
    if kind == 'anew': os.write(fd, content)
    if kind == 'write': os.pwrite(fd, os.urandom(100), offset)
    if fd >= 0: os.close(fd)
threads = [threading.Thread(target=edit, args=(i, one['path'], one['kind'], one['offset'])) for i, one in enumerate(edits)]
for thread in threads: thread.start()
print(json.dumps('ready'), flush=True)
sys.stdin.readline()
go.set()
for thread in threads: thread.join()
`;

export class EditsAtOnce {
  readonly #child: ChildProcess;
  readonly #edits: readonly Edit[];
  readonly #ended: Promise<unknown>;
  readonly #edited = new Map<Edit, Edited>();

  private constructor(child: ChildProcess, edits: readonly Edit[]) {
    this.#child = child;
    this.#edits = edits;
    this.#ended = once(child, 'close');
  }

  /** Starts it. It opens nothing before `go`. */
  static async start(edits: readonly Edit[]): Promise<EditsAtOnce> {
    const child = spawn('python3', ['-c', SCRIPT], { stdio: ['pipe', 'pipe', 'inherit'] });
    const program = new EditsAtOnce(child, edits);
    const lines = createInterface({ input: child.stdout });
    const ready = once(lines, 'line');
    lines.on('line', (line) => program.#heard(JSON.parse(line) as 'ready' | (Edited & { readonly number: number })));
    child.stdin.write(`${JSON.stringify(edits)}\n`);
    await ready;
    return program;
  }

  #heard(line: 'ready' | (Edited & { readonly number: number })): void {
    if (line !== 'ready') this.#edited.set(this.#edits[line.number]!, line);
  }

  /** Has it change the files, all at once. */
  go(): void {
    this.#child.stdin?.end('\n');
  }

  /** Resolves when all is done, with what it was. @throws Error if it could not be done */
  async ended(): Promise<ReadonlyMap<Edit, Edited>> {
    await this.#ended;
    if (this.#edited.size < this.#edits.length) throw new Error('not all files could be changed');
    return this.#edited;
  }
}

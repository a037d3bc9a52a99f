/**
 * A program that writes below a mount while its server may be killed at any moment, and remembers the acknowledged
 * operations. At most one operation is unanswered; after it, each name has its old or its new place.
 */
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import type { Fixture } from './fixture.ts';
import { FolderTarget } from './folder-target.ts';
import { FileHistory, resized, written } from './history.ts';
import { can, FUSE_NATIVE } from './limits.ts';
import { describeOperation, type Operation } from './operation.ts';
import { Random } from './random.ts';

const CUT_SHORT = 'a short write';
/** The errors that programs get when the server of a mount has died. */
const DEAD: ReadonlySet<string> = new Set(['ENOTCONN', 'ECONNABORTED', 'EIO', 'ENODEV', CUT_SHORT]);
/** Fits one request of the kernel: a longer read or write is several. */
const LONGEST_IO = 100_000;
const LONGEST = 250_000;
const TOLD = 30;
const FEWEST_FILES = 8;
const MOST_FILES = 25;

type File = FileHistory;
type Names = ReadonlyMap<string, File>;

const FOLDERS = ['', 'T', 'T/sub', 'T/sub/deep'] as const;

export interface Judgement {
  readonly wrong: readonly string[];
  readonly lost: readonly string[];
}

/** A step of an operation. `names` are those that exist after it. */
interface Step {
  readonly operation: Operation;
  readonly data?: Buffer;
  readonly names?: Names;
  /** The names in the middle of it. */
  readonly between?: Names;
  readonly file?: File;
  /** Its content afterwards. */
  readonly content?: Buffer;
  readonly syncs?: boolean;
}

export class Writer {
  readonly #target: FolderTarget;
  readonly #random: Random;
  readonly #name: string;
  #names: Names;
  /** The possible states while an operation is not answered. */
  #pendingNames: readonly Names[] = [];
  readonly #handles = new Map<File, number>();
  #lastHandle = 0;
  #lastName = 0;
  /** The last operations, with their answers. */
  #recent: string[] = [];
  acknowledged = 0;

  constructor(name: string, seed: number, fixture: Fixture) {
    this.#target = new FolderTarget(name, { isReference: false });
    this.#random = new Random(seed);
    this.#name = name;
    this.#names = new Map(fixture.paths.map((path) => [path, new FileHistory(fixture.original(path))]));
  }

  async begin(root: string): Promise<void> {
    this.#handles.clear();
    await this.#target.begin(root);
  }

  /** Writes until the server has been killed, or the writer is stopped. */
  async write(server: { readonly isStopping: boolean; readonly isKilled: boolean }): Promise<void> {
    while (!server.isStopping) {
      const step = this.#next();
      if (step === undefined) continue;
      const error = await this.#do(step);
      if (error === undefined) continue;
      if (server.isKilled && DEAD.has(error)) return;
      throw new Error(`${this.#name}: ${describeOperation(step.operation)} answers ${error}`);
    }
  }

  /** The errno's name, if it failed. */
  async #do(step: Step): Promise<string | undefined> {
    const { operation, data, file } = step;
    this.#pendingNames = [step.names, step.between].filter((names) => names !== undefined);
    if (step.content !== undefined) file?.begin(step.content);
    const outcome = await this.#target.run({ operation, observe: [], ...(data === undefined ? {} : { data }) });
    this.#recent = [...this.#recent, `${describeOperation(operation)}: ${outcome.error ?? 'done'}`].slice(-TOLD);
    if (outcome.error !== undefined) return outcome.error;
    if (operation.do === 'write' && typeof outcome.value === 'number' && outcome.value < operation.length) {
      // The kernel made several requests of it, and only the first ones were answered.
      const first = data?.subarray(0, outcome.value) ?? Buffer.alloc(0);
      file?.begin(written(file.latest, operation.position, first));
      file?.acknowledge();
      if (step.content !== undefined) file?.begin(step.content);
      return CUT_SHORT;
    }
    file?.acknowledge();
    if (step.syncs === true) file?.synced();
    if (step.names !== undefined) this.#names = step.names;
    this.#pendingNames = [];
    this.acknowledged++;
    return undefined;
  }

  #next(): Step | undefined {
    const random = this.#random;
    const picked = random.pickOrNone([...this.#names]);
    const kind = random.weighted({ write: 10, truncate: 3, fsync: 3, close: 1, create: 2, rename: 3, unlink: 1 });
    if (picked === undefined || kind === 'create') return this.#names.size < MOST_FILES ? this.#create() : undefined;
    const [path, file] = picked;
    if (kind === 'rename') return this.#rename(path, file);
    if (kind === 'unlink') return this.#names.size > FEWEST_FILES ? this.#unlink(path) : undefined;
    const handle = this.#handles.get(file);
    if (handle === undefined) return this.#open(path, file);
    switch (kind) {
      case 'write': {
        const size = file.latest.length;
        const position = random.between(0, Math.min(size + 3000, LONGEST));
        const data = random.bytes(random.pick([random.between(1, 3000), 4096, random.between(1, LONGEST_IO)]));
        const content = written(file.latest, position, data);
        return {
          operation: { do: 'write', handle, position, length: data.length, fill: { kind: 'zeros' } },
          data,
          file,
          content,
        };
      }
      case 'truncate': {
        const size = Math.min(LONGEST, random.between(Math.floor(file.latest.length / 2), file.latest.length + 20_000));
        return { operation: { do: 'ftruncate', handle, size }, file, content: resized(file.latest, size) };
      }
      case 'fsync':
        return { operation: { do: 'fsync', handle, dataOnly: random.chance(0.3) }, file, syncs: true };
      default:
        kind satisfies 'close';
        this.#handles.delete(file);
        return { operation: { do: 'close', handle } };
    }
  }

  #open(path: string, file: File): Step {
    const handle = ++this.#lastHandle;
    this.#handles.set(file, handle);
    return { operation: { do: 'open', path, flags: constants.O_RDWR, mode: 0o644, handle } };
  }

  #newPath(): string {
    const folder = this.#random.pick(FOLDERS);
    const name = `file ${++this.#lastName}`;
    return folder === '' ? name : `${folder}/${name}`;
  }

  #create(): Step {
    const path = this.#newPath();
    const file = new FileHistory(Buffer.alloc(0));
    const handle = ++this.#lastHandle;
    this.#handles.set(file, handle);
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL;
    return {
      operation: { do: 'open', path, flags, mode: 0o644, handle },
      names: new Map([...this.#names, [path, file]]),
    };
  }

  #rename(path: string, file: File): Step | undefined {
    const over = this.#random.chance(0.3) && this.#names.size > FEWEST_FILES;
    const to = over ? this.#random.pick([...this.#names.keys()]) : this.#newPath();
    if (to === path) return undefined;
    const operation: Operation = { do: 'rename', path, to, flags: 0 };
    const replaced = this.#names.get(to);
    const names = new Map(this.#names);
    names.delete(to);
    const inTwo = replaced !== undefined && this.#handles.has(replaced) && !can(FUSE_NATIVE, 'atomicReplace');
    const between = inTwo ? { between: new Map(names) } : {};
    names.delete(path);
    names.set(to, file);
    return { operation, names, ...between };
  }

  #unlink(path: string): Step {
    const names = new Map(this.#names);
    names.delete(path);
    return { operation: { do: 'unlink', path }, names };
  }

  /** Checks the state that a new server shows, and continues from there. */
  async judge(): Promise<Judgement> {
    const wrong: string[] = [];
    const lost: string[] = [];
    const tree = await this.#target.tree();
    const found = new Map(tree.filter(({ hash }) => hash !== undefined).map(({ path, hash }) => [path, hash]));
    const names = this.#pendingNames.find((one) => sameKeys(one, found)) ?? this.#names;
    for (const path of found.keys()) if (!names.has(path)) wrong.push(`${this.#name}: '${path}' should not be there`);
    const next = new Map<string, File>();
    for (const [path, file] of names) {
      const what = `${this.#name}: '${path}'`;
      const hash = found.get(path);
      if (hash === undefined) {
        wrong.push(`${what} is missing`);
        continue;
      }
      let content = file.latest;
      if (createHash('sha1').update(content).digest('hex') !== hash) {
        content = await this.#target.content(path);
        const verdict = file.judge(content);
        wrong.push(...verdict.wrong.map((one) => `${what}: ${one} is neither an old nor the new one`));
        lost.push(...verdict.lost.map((one) => `${what}: ${one} is an old one, and the new one was acknowledged`));
      }
      next.set(path, new FileHistory(content));
    }
    this.#names = next;
    this.#pendingNames = [];
    if (wrong.length > 0) wrong.push(...this.#recent);
    return { wrong, lost };
  }

  async close(): Promise<void> {
    await this.#target.close();
  }
}

const sameKeys = (a: ReadonlyMap<string, unknown>, b: ReadonlyMap<string, unknown>): boolean =>
  a.size === b.size && [...a.keys()].every((key) => b.has(key));

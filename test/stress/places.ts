/** Chooses paths to work on: existing ones, free ones, and impossible ones. */
import { type Model, type ModelDentry, type ModelInode, pathOf } from './model.ts';
import type { Random } from './random.ts';

const DEEPEST = 5;
const LETTERS = Array.from('abcdefghijkl');
const NAMES = [...LETTERS, 'ä ö', '日本語', 'x'.repeat(255), 'é'.repeat(127), 'f.part', '.hidden', "q'$ `\\"];
const TOO_LONG = ['y'.repeat(256), 'é'.repeat(128), 'z'.repeat(1000)];

type Type = 'file' | 'directory' | 'symlink' | 'fifo';

export class Places {
  readonly #random: Random;
  readonly #model: Model;
  /** All existing names. */
  dentries: readonly ModelDentry[] = [];

  constructor(random: Random, model: Model) {
    this.#random = random;
    this.#model = model;
  }

  /** Call it after the model has changed. */
  look(): void {
    this.dentries = this.#model.dentries();
  }

  path(dentry: ModelDentry): string {
    return pathOf(dentry, this.#model.root);
  }

  below(folder: string, name: string): string {
    return folder === '' ? name : `${folder}/${name}`;
  }

  existing(type: Type): string | undefined {
    const found = this.#random.pickOrNone(this.dentries.filter(({ inode }) => inode.type === type));
    return found && this.path(found);
  }

  emptyFolder(): string | undefined {
    const found = this.dentries.filter(({ inode }) => inode.type === 'directory' && inode.children.size === 0);
    const picked = this.#random.pickOrNone(found);
    return picked && this.path(picked);
  }

  /** Includes the root. */
  folder(): string {
    return this.#random.chance(0.2) ? '' : (this.existing('directory') ?? '');
  }

  /** ENOENT in three ways, ENOTDIR, ENAMETOOLONG. */
  missing(): string {
    const random = this.#random;
    const folder = this.folder();
    switch (random.pick(['name', 'folder', 'below', 'long'])) {
      case 'folder':
        return this.below(folder, `missing ${random.between(0, 1e9)}/a`);
      case 'below':
        return this.below(this.existing('file') ?? folder, 'below');
      case 'long':
        return this.below(folder, random.pick(TOO_LONG));
      default:
        // If this creates something, its name differs from all names that are missing later.
        return this.below(folder, `missing ${random.between(0, 1e9)}`);
    }
  }

  wrongFor(type: 'file' | 'directory'): string {
    const other = this.existing(type === 'file' ? 'directory' : 'file');
    return other !== undefined && this.#random.chance(0.5) ? other : this.missing();
  }

  /** A name that is mostly free; now and then a taken or impossible one. */
  free(taken = 0.08): string {
    const random = this.#random;
    if (random.chance(0.05)) return this.missing();
    const folders = this.dentries.filter(
      ({ inode, parent }) => inode.type === 'directory' && this.#depth(parent) < DEEPEST,
    );
    const dentry = random.chance(0.15) ? undefined : random.pickOrNone(folders);
    const inode = dentry?.inode ?? this.#model.root;
    const folder = dentry === undefined ? '' : this.path(dentry);
    const wanted = random.chance(taken);
    const names = NAMES.filter((name) => inode.children.has(name) === wanted);
    return this.below(folder, random.pickOrNone(names) ?? `n${random.between(0, 1e6)}`);
  }

  #depth(folder: ModelInode | undefined): number {
    let depth = 0;
    for (let at = folder; at !== undefined && at !== this.#model.root; depth++) at = [...at.dentries][0]?.parent;
    return depth;
  }
}

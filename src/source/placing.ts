/** Where files lie: their handles and their disks, by which they are found again when a path leads there no longer. */
import { fstatSync } from 'node:fs';
import type { CLibrary } from '../native/c-library.ts';
import { type HandleCalls, loadHandleCalls } from '../native/file-handles.ts';
import type { FileSystems } from './file-system.ts';
import type { FileHandle, RecordedSource } from './identity.ts';
import { folderOf } from './paths.ts';
import { ReleasedFolders } from './released-folders.ts';

export type Place = Pick<RecordedSource, 'handle' | 'disk'>;

/** What files of one folder and one device have in common. */
interface Surroundings {
  readonly at: Buffer;
  readonly dev: number;
  readonly disk: string | undefined;
  readonly folder: FileHandle | undefined;
}

export class Placing {
  readonly fileSystems: FileSystems;
  readonly #released: ReleasedFolders;
  readonly #handles: HandleCalls | undefined;
  #last: Surroundings | undefined;

  /** `released`: disks that are not touched. */
  constructor(fileSystems: FileSystems, library: CLibrary, released = new ReleasedFolders()) {
    this.fileSystems = fileSystems;
    this.#released = released;
    this.#handles = loadHandleCalls(library);
  }

  /** Tells where the file at a path lies. For threads that have nothing else to do. */
  placeOf(path: Buffer, dev: number): Place {
    const { disk, folder } = this.#around(path, dev);
    const handle = folder === undefined ? undefined : this.#handles?.handleAt(path);
    return placeOf(handle === undefined || folder === undefined ? undefined : { ...handle, folder }, disk);
  }

  /** Files are asked about folder by folder. */
  #around(path: Buffer, dev: number): Surroundings {
    const at = folderOf(path);
    if (this.#last?.dev === dev && this.#last.at.equals(at)) return this.#last;
    const { handles } = this.fileSystems.kindOfSync(path, dev);
    const folder = handles ? this.#handles?.handleOfFolder(at) : undefined;
    this.#last = { at, dev, disk: this.fileSystems.diskOfSync(path), folder };
    return this.#last;
  }

  /** Tells where the file at a path lies, for the process that must not wait. */
  async placeAt(path: Buffer, dev: number): Promise<Place> {
    return await this.#released.during(path, async () => {
      if (this.#released.holds(path)) return {};
      const { handles } = await this.fileSystems.kindOf(path, dev);
      const handle = handles ? await this.#handles?.placedHandleAt(path) : undefined;
      return placeOf(handle, await this.fileSystems.diskOf(path));
    });
  }

  /** Gives the handle of an open file, where handles mean something. For threads that have nothing else to do. */
  handleOf(fd: number): FileHandle | undefined {
    const itself = Buffer.from(`/proc/self/fd/${fd}`);
    return this.fileSystems.kindOfSync(itself, fstatSync(fd).dev).handles ? this.#handles?.handleOf(fd) : undefined;
  }

  /** What `FileSystems.diskOf` tells. */
  async diskOf(path: Buffer): Promise<string | undefined> {
    return await this.fileSystems.diskOf(path);
  }

  /** What `FileSystems.disksMounted` tells. */
  async disksMounted(): Promise<ReadonlyMap<string, readonly Buffer[]>> {
    return await this.fileSystems.disksMounted();
  }

  /** Finds the path of a handle's file, for a process that may. `folder`: one on the same file system. */
  async pathOfHandle(handle: FileHandle, folder: Buffer): Promise<Buffer | undefined> {
    return await this.#handles?.pathOfHandle(handle, folder);
  }
}

function placeOf(handle: FileHandle | undefined, disk: string | undefined): Place {
  return { ...(handle === undefined ? {} : { handle }), ...(disk === undefined ? {} : { disk }) };
}

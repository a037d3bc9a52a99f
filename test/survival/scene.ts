/** A server over sources on one file system, and films that it seeds: what all tests of survival have. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { EntryJson, FileJson } from '../../src/cli/json.ts';
import { errnoOf } from '../../src/errors.ts';
import { type Autotorrent, autotorrentIn, type Result } from '../harness/autotorrent.ts';
import type { Daemon } from '../harness/daemon.ts';
import { type FileSystemKind, makeFileSystem, type Room, type TestFileSystem } from '../harness/file-systems.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { guardMount } from '../harness/mount-guard.ts';
import { ordinaryUser, type Person, ROOT } from '../harness/person.ts';
import { PieceReader, type Pieces } from '../harness/piece-reader.ts';
import type { Film } from './films.ts';

export interface SceneOptions {
  readonly kind: FileSystemKind;
  readonly person: Person['name'];
  /** Lines of the [client] section. */
  readonly client?: readonly string[];
  /** Further lines of the [general] section. */
  readonly general?: readonly string[];
  /** The library alone is a disk of the configuration, so that the file system has folders in no disk. Default: all of it. */
  readonly libraryAlone?: boolean;
  /** How much the file system holds, on a loop device. Default: some hundred films. */
  readonly room?: Room;
}

export class Scene {
  readonly fileSystem: TestFileSystem;
  readonly person: Person;
  readonly autotorrent: Autotorrent;
  /** The folder of films on the tested file system. */
  readonly library: string;
  /** The disk of the configuration on the tested file system. */
  readonly disk: string;
  /** A disk of the configuration on another file system. */
  readonly elsewhere: string;
  /** A folder in no disk of the configuration. */
  readonly outside: string;
  readonly #torrents: string;
  #server: Daemon | undefined;
  #reader: PieceReader | undefined;

  private constructor(
    parts: Pick<Scene, 'fileSystem' | 'person' | 'autotorrent' | 'disk' | 'elsewhere' | 'outside'>,
    torrents: string,
  ) {
    this.fileSystem = parts.fileSystem;
    this.person = parts.person;
    this.autotorrent = parts.autotorrent;
    this.disk = parts.disk;
    this.elsewhere = parts.elsewhere;
    this.outside = parts.outside;
    this.library = join(parts.fileSystem.path, 'films');
    this.#torrents = torrents;
  }

  /** Makes the file system; nothing is indexed and nothing mounted yet. */
  static async make({ kind, person: name, client, general = [], room, libraryAlone }: SceneOptions): Promise<Scene> {
    const base = temporaryFolder('survival');
    chmodSync(base, 0o755);
    const inside = (folder: string): string => {
      mkdirSync(join(base, folder));
      return join(base, folder);
    };
    const [home, elsewhere, torrents] = [inside('home'), inside('elsewhere'), inside('torrents')];
    const person = name === 'root' ? ROOT : await ordinaryUser(inside('things'), base);
    const fileSystem = await makeFileSystem(kind, inside('fs'), room);
    const library = join(fileSystem.path, 'films');
    mkdirSync(library);
    const disk = libraryAlone === true ? library : fileSystem.path;
    for (const folder of [home, elsewhere, torrents, fileSystem.path, library]) {
      chownSync(folder, person.uid, person.gid);
    }
    const autotorrent = await autotorrentIn({
      folder: home,
      disks: [disk, elsewhere],
      general,
      person,
      ...(client === undefined ? {} : { client }),
    });
    const outside = inside('outside');
    return new Scene({ fileSystem, person, autotorrent, disk, elsewhere, outside }, torrents);
  }

  /** Runs a command that must succeed. */
  async run(...args: readonly string[]): Promise<Result> {
    const result = await this.autotorrent.run(...args);
    assert.equal(result.code, 0, `${args.join(' ')}: ${result.stdout}${result.stderr}`);
    return result;
  }

  /** Writes a file of the library that belongs to the person, as do the folders above it. */
  write(path: string, bytes: Buffer): void {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, bytes);
    const { uid, gid } = this.person;
    for (let at = path; at.startsWith(this.library) && at !== this.library; at = dirname(at)) chownSync(at, uid, gid);
  }

  async mount(): Promise<void> {
    guardMount(this.autotorrent.storePath);
    this.#server = await this.autotorrent.mount();
  }

  /** Ends the server: its descriptors, mount and children go. */
  async unmount(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    await this.#server?.stop(signal);
    this.#server = undefined;
  }

  get server(): Daemon {
    assert.ok(this.#server);
    return this.#server;
  }

  /** What the server wrote lately. */
  output(): string {
    return this.#server?.output() ?? '';
  }

  /** Adds torrents; each of their pieces is hashed. */
  async add(torrents: readonly Pick<Film, 'name' | 'torrent'>[]): Promise<void> {
    const paths = torrents.map(({ name, torrent }) => {
      const path = join(this.#torrents, `${name}.torrent`);
      writeFileSync(path, torrent);
      return path;
    });
    await this.run('add', '--verify', 'full', ...paths);
  }

  /** The paths from which an entry is served, as `show` says. */
  async sourcesOf({ name }: { readonly name: string }): Promise<string[]> {
    const { file_list: files } = (await this.autotorrent.json('show', name)) as {
      readonly file_list: readonly FileJson[];
    };
    return files.flatMap(({ extents }) => extents.map(({ source }) => source ?? ''));
  }

  async health({ name }: { readonly name: string }): Promise<string> {
    const { health } = (await this.autotorrent.json('show', name)) as EntryJson;
    return health;
  }

  pathOf({ name }: Film): string {
    return join(this.autotorrent.storePath, name, name);
  }

  /** Reads through the mount as the person. */
  get reader(): PieceReader {
    this.#reader ??= PieceReader.start(this.person);
    return this.#reader;
  }

  async read(film: Film): Promise<Pieces> {
    return await this.reader.piecesOf([this.pathOf(film)], film);
  }

  /** Ends all of it, and leaves no mount. */
  async end(): Promise<void> {
    this.fileSystem.answerAfter(0);
    await this.#reader?.end();
    await this.unmount();
    await this.fileSystem.close();
    await this.person.end();
  }
}

/** Kills the processes of a configuration that run a command, such as `heal`. */
export function killProgram(config: string, command: string): void {
  const lines = execFileSync('ps', ['-eo', 'pid=,args='], { encoding: 'utf8' }).split('\n');
  for (const line of lines) {
    const [, pid, args = ''] = /^\s*(\d+) (.*)$/.exec(line) ?? [];
    if (pid === undefined || !args.includes(`-c ${config} ${command}`)) continue;
    try {
      process.kill(Number(pid), 'SIGKILL');
    } catch (error) {
      // It has ended by itself.
      if (errnoOf(error) !== 'ESRCH') throw error;
    }
  }
}

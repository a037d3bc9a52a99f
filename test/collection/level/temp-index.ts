/** A folder of files and an index of it, both temporary. */
import { mkdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Level } from 'level';
import type { CollectionFile } from '../../../src/collection/index.ts';
import { type RebuildOptions, rebuild } from '../../../src/collection/level/rebuild.ts';
import type { RebuildResult } from '../../../src/collection/writer.ts';
import { temporaryFolder } from '../../harness/folder.ts';

export class TempIndex {
  readonly top = temporaryFolder('collection');
  readonly disk = join(this.top, 'disk');
  readonly db = new Level<Buffer, Buffer>(join(this.top, 'db'));

  constructor() {
    mkdirSync(this.disk);
  }

  /** Sparse files of these sizes; a path is relative to the disk. */
  put(files: Readonly<Record<string, number>>): void {
    for (const [path, size] of Object.entries(files)) this.putFile(Buffer.from(join(this.disk, path)), size);
  }

  putFile(path: Buffer, size: number): void {
    const folder = dirname(path.toString('latin1'));
    mkdirSync(Buffer.from(folder, 'latin1'), { recursive: true });
    writeFileSync(path, '');
    truncateSync(path, size);
  }

  rebuild(options: Partial<RebuildOptions> = {}): Promise<RebuildResult> {
    // What the test has just written counts as settled, or nothing would ever be reused here.
    return rebuild(this.db, { disks: [this.disk], racyMs: -10_000, youngMs: 0, ...options });
  }

  below(file: CollectionFile): string {
    return file.path.toString().slice(this.disk.length + 1);
  }

  async remove(): Promise<void> {
    await this.db.close();
    rmSync(this.top, { recursive: true, force: true });
  }
}

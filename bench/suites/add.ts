/** `add --dry-run --verify none` of 100 torrents on an index of 100,000 files, start-up included, against find. */
import { execFileSync } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { autotorrentIn } from '../../test/harness/autotorrent.ts';
import { generateTree } from '../data/collections.ts';
import { type BenchRow, median } from '../lib/row.ts';

const ROUNDS = 7;

export async function benchAdd(): Promise<BenchRow[]> {
  const folder = await mkdtemp(join(tmpdir(), 'autotorrent-bench-'));
  try {
    const tree = join(folder, 'tree');
    generateTree(tree, 100_000, 1);
    const data = join(tree, 'data');
    const autotorrent = await autotorrentIn({ folder, disks: [data] });
    const rebuilt = await autotorrent.run('rebuild');
    if (rebuilt.code !== 0) throw new Error(rebuilt.stderr);
    const torrents = join(tree, 'torrents');
    const count = (await readdir(torrents)).length;
    const find: number[] = [];
    const add: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      find.push(seconds(() => void execFileSync('find', [data, '-printf', '%s %p\n'], { stdio: 'ignore' })));
      const began = performance.now();
      const { code, stdout, stderr } = await autotorrent.run('add', '--dry-run', 'json', '--verify', 'none', torrents);
      add.push((performance.now() - began) / 1000);
      if (code !== 0 && code !== 3) throw new Error(stderr);
      if ((JSON.parse(stdout) as unknown[]).length !== count) throw new Error('not every torrent was answered');
    }
    return [
      {
        name: `add --dry-run --verify none, ${count} torrents`,
        value: median(add),
        unit: 's',
        reference: `find, 100,000 files: ${median(find).toFixed(3)} s`,
        ratio: median(add) / median(find),
        target: '≤ 1',
      },
    ];
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function seconds(action: () => void): number {
  const began = performance.now();
  action();
  return (performance.now() - began) / 1000;
}

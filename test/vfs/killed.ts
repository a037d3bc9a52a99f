/** A server that is killed: `killed.js FOLDER SCENARIO` runs the scenario and is killed. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Volume } from './volume.ts';

const [folder = '', scenario = ''] = process.argv.slice(2);
const volume = await Volume.open(folder);
const { files, store } = volume;
const write = async (path: string, text: string, position: number): Promise<number> => {
  const handle = await volume.open(path);
  await files.write(handle, Buffer.from(text), position);
  return handle;
};

const SCENARIOS: Readonly<Record<string, () => Promise<unknown>>> = {
  async write() {
    await write('T/whole', 'across blocks', 4090);
    await write('T/whole', 'behind the end', 50_000);
    await write('T/gap', 'gap', 100);
    await write('T/gap', 'cut off', 15_000);
    await volume.truncate('T/gap', 9000);
    await volume.create('T/new', 'new');
  },
  async 'write more'() {
    await write('T/whole', 'more', 50_000);
    await volume.truncate('T/gap', 0);
    await volume.truncate('T/gap', 9100);
  },
  async fsync() {
    await files.fsync(await write('T/whole', 'synced', 10));
    await files.fsync(await write('T/gap', '', 0));
    await write('T/gap', 'not synced', 5000);
    await write('T/whole', 'not synced', 20_000);
    await volume.truncate('T/mixed', 3);
  },
  async times() {
    await write('T/whole', 'x', 0);
    await files.setattr(volume.ino('T/whole'), { atime: 'now', mtime: { seconds: 1000, nanoseconds: 0 } });
    await files.setattr(volume.ino('T/gap'), { atime: 'now', mtime: { seconds: 1000, nanoseconds: 0 } });
    await sleep(5);
    await write('T/gap', 'x', 0);
    await write('T/mixed', 'x', 0);
    await sleep(5);
    await files.setattr(volume.ino('T/mixed'), { mode: 0o600 });
  },
  async orphans() {
    await write('T/whole', 'x', 0);
    await volume.create('T/new', 'new');
    await volume.open('T/new');
    await volume.unlink('T/whole');
    await volume.unlink('T/new');
  },
};

await store.recovered;
await SCENARIOS[scenario]?.();
process.kill(process.pid, 'SIGKILL');

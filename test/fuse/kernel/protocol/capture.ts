/**
 * Prints one real request of each opcode, for `captured.txt`: `node dist/test/fuse/kernel/protocol/capture.js`, as root. It serves a
 * mount by the driver's own session, while `exercise.py` makes the calls.
 */
import { execFile } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { release, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { DeviceReader } from '../../../../src/fuse/kernel/device-reader.ts';
import { Dispatcher } from '../../../../src/fuse/kernel/dispatch.ts';
import { Nodes } from '../../../../src/fuse/kernel/nodes.ts';
import { USUAL_FLAGS } from '../../../../src/fuse/kernel/protocol/negotiation.ts';
import { IN_HEADER, Opcode } from '../../../../src/fuse/kernel/protocol/structures.ts';
import type { RequestSource } from '../../../../src/fuse/kernel/request-source.ts';
import { KernelSession } from '../../../../src/fuse/kernel/session.ts';
import { createLogger } from '../../../../src/logger.ts';
import { openCLibrary } from '../../../../src/native/c-library.ts';
import { loadProcessCalls } from '../../../../src/native/process.ts';
import { openVolume } from '../../../harness/volume.ts';

/** The look-up of this name is answered late. */
const HELD = Buffer.from('held\0');
const HELD_MS = 1000;
const run = promisify(execFile);
const captured = new Map<number, Buffer>();

const folder = mkdtempSync(join(tmpdir(), 'capture-'));
const mountPoint = join(folder, 'mount');
mkdirSync(mountPoint);
const logger = createLogger('info');
const library = openCLibrary(logger);
const volume = await openVolume(join(folder, 'state'), { logger });
const mount = library.ability('no mounts are made', ({ func }) =>
  func('int mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data)'),
);
const wanted = {
  flags: USUAL_FLAGS,
  maxWrite: 2 ** 20,
  maxReadahead: 2 ** 20,
  maxBackground: 12,
  congestionThreshold: 9,
  maxStackDepth: 0,
  pageBytes: 4096,
};

/** Serves a mount while `use` runs. */
async function captureFrom(type: string, device: string, use: () => Promise<void>): Promise<void> {
  const fd = openSync('/dev/fuse', 'r+');
  const options = `fd=${fd},rootmode=40000,user_id=0,group_id=0,default_permissions,allow_other`;
  if (mount?.(device, mountPoint, type, 6, options) !== 0) throw new Error(`${type} cannot be mounted`);
  const reader = new DeviceReader(fd, logger);
  const source: RequestSource = {
    ended: reader.ended,
    stop: () => reader.stop(),
    start(bufferBytes, take) {
      reader.start(bufferBytes, (message, port) => {
        const opcode = message.readUInt32LE(IN_HEADER.at.opcode);
        if (!captured.has(opcode)) captured.set(opcode, Buffer.from(message));
        if (!message.subarray(IN_HEADER.bytes).equals(HELD)) return take(message, port);
        const copy = Buffer.from(message);
        setTimeout(() => void take(copy, port), HELD_MS);
        return undefined;
      });
    },
  };
  const dispatcher = new Dispatcher(volume.fileSystem, new Nodes(), 1);
  const session = new KernelSession({ source, dispatcher, wanted, logger });
  session.start();
  await session.agreed;
  await use();
  await run('umount', [mountPoint]);
  await reader.ended;
  closeSync(fd);
}

await captureFrom('fuse.autotorrent', 'autotorrent', async () => {
  const script = resolve('test/fuse/kernel/protocol/exercise.py');
  await run('python3', [script, mountPoint]);
});
// Only a mount of a block device is synced, and told of its end.
const image = join(folder, 'image');
writeFileSync(image, Buffer.alloc(2 ** 20));
const loop = (await run('losetup', ['--find', '--show', image])).stdout.trim();
try {
  await captureFrom('fuseblk', loop, async () => {
    await run('sync', ['-f', mountPoint]);
  });
} finally {
  await run('losetup', ['--detach', loop]);
}
await volume.close();
rmSync(folder, { recursive: true });
process.stdout.write(
  `# One request of each opcode, as Linux ${release().split('-', 1)[0]} sent it (\`capture.ts\`).\n`,
);
const names = new Map<number, string>(Object.entries(Opcode).map(([name, opcode]) => [opcode, name]));
for (const [opcode, message] of [...captured].toSorted(([a], [b]) => a - b)) {
  process.stdout.write(`# ${names.get(opcode) ?? 'unknown'}\n${message.toString('hex')}\n`);
}
loadProcessCalls(library).exitNow?.(0);

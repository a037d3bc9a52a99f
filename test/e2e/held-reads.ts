/**
 * A preload (`node --import`) that stops a program's file reads, from HELD_READS_AFTER bytes on, for as long as the file
 * HELD_READS_GATE exists.
 */
import { existsSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

const gate = process.env.HELD_READS_GATE ?? '';
const after = Number(process.env.HELD_READS_AFTER ?? 0);

const handle = await open('/dev/null');
const prototype: { read: (...args: unknown[]) => Promise<{ bytesRead: number }> } = Object.getPrototypeOf(handle);
await handle.close();
const { read } = prototype;
let done = 0;
prototype.read = async function held(this: FileHandle, ...args: unknown[]) {
  if (done >= after) while (existsSync(gate)) await sleep(20);
  const result = await read.apply(this, args);
  done += result.bytesRead;
  return result;
};

/** Measures the overlay of a state folder by the room that it takes on the disk: its files are sparse. */
import { readdir, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';

/** Bytes by inode number, from `overlay/<xx>/<ino>`. */
export async function roomTaken(statePath: string): Promise<Map<number, number>> {
  const folder = join(statePath, 'overlay');
  const room = new Map<number, number>();
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || entry.parentPath === folder) continue; // the journals lie beside the folders
    const path = join(entry.parentPath, entry.name);
    room.set(Number(basename(path)), await roomOf(path));
  }
  return room;
}

/** Bytes. */
export async function roomOf(path: string): Promise<number> {
  return (await stat(path)).blocks * 512;
}

/** The handles of folders, in a thread that may wait for a disk: name_to_handle_at(2), open_by_handle_at(2). */
import { closeSync, constants, openSync, readlinkSync } from 'node:fs';
import type { CLibrary } from './c-library.ts';
import { handleKey, handleOfKey } from './fanotify.ts';
import { terminated } from './in-thread.ts';
import { O_PATH } from './strict-paths.ts';

const AT_FDCWD = -100;
const AT_SYMLINK_FOLLOW = 0x400;
/** Linux 6.5: a handle that only names a file. File systems without other handles have it, FUSE for one. */
const AT_HANDLE_FID = 0x200;
const O_CLOEXEC = 0o2000000;
/** MAX_HANDLE_SZ. */
const MOST_BYTES = 128;

export interface FolderHandleCalls {
  /** The handle of what is at `path`, as `handleKey` makes it; links are followed. Undefined if there is none. */
  readonly handleAt: (path: Buffer) => string | undefined;
  /** Where the object of a handle is now; `folder` is any folder of its file system. Needs CAP_DAC_READ_SEARCH. */
  readonly pathOf: (key: string, folder: Buffer) => Buffer | undefined;
}

export function loadFolderHandleCalls(library: CLibrary): FolderHandleCalls | undefined {
  return library.ability('folders are known by their paths alone', ({ func }) => {
    const nameToHandle = func(
      'int name_to_handle_at(int folder, const void *path, void *handle, void *mountId, int flags)',
    );
    const openByHandle = func('int open_by_handle_at(int mount, const void *handle, int flags)');
    const handle = Buffer.alloc(8 + MOST_BYTES);
    const mountId = Buffer.alloc(8);
    const get = (path: Buffer, flags: number): string | undefined => {
      handle.writeUInt32LE(MOST_BYTES, 0);
      if (Number(nameToHandle(AT_FDCWD, path, handle, mountId, flags)) !== 0) return undefined;
      return handleKey(handle.readInt32LE(4), handle.subarray(8, 8 + handle.readUInt32LE(0)));
    };
    const handleAt = (path: Buffer): string | undefined => {
      const name = terminated(path);
      return get(name, AT_SYMLINK_FOLLOW) ?? get(name, AT_SYMLINK_FOLLOW | AT_HANDLE_FID);
    };
    return {
      handleAt,
      pathOf(key, folder) {
        const { type, bytes } = handleOfKey(key);
        const whole = Buffer.alloc(8 + bytes.length);
        whole.writeUInt32LE(bytes.length, 0);
        whole.writeInt32LE(type, 4);
        bytes.copy(whole, 8);
        let mount: number | undefined;
        let fd = -1;
        try {
          // Held only for this call: a descriptor keeps a disk from being unmounted.
          mount = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NONBLOCK);
          fd = Number(openByHandle(mount, whole, O_PATH | O_CLOEXEC));
          if (fd < 0) return undefined;
          const path = readlinkSync(`/proc/self/fd/${fd}`, { encoding: 'buffer' });
          // The kernel adds ` (deleted)` to the path of a folder that is gone; a folder may be called so as well.
          const gone = path.toString('latin1').endsWith(' (deleted)') && handleAt(path) !== key;
          return path[0] === 0x2f && !gone ? path : undefined;
        } catch {
          return undefined;
        } finally {
          if (fd >= 0) closeSync(fd);
          if (mount !== undefined) closeSync(mount);
        }
      },
    };
  });
}

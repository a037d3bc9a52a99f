/** The UUID of a file system, which any user may ask for: ioctl_fs(2). */
import type { CLibrary, LoadedLibrary } from './c-library.ts';

/** FS_IOC_GETFSUUID, since Linux 6.9: struct fsuuid2 { u8 len; u8 uuid[16] }. ext4, XFS, f2fs, tmpfs and others. */
const FS_IOC_GETFSUUID = 0x80111500;
const FSUUID2_BYTES = 17;
/** BTRFS_IOC_FS_INFO: struct btrfs_ioctl_fs_info_args of 1024 bytes, the UUID after two u64. */
const BTRFS_IOC_FS_INFO = 0x8400941f;
const BTRFS_INFO_BYTES = 1024;
const BTRFS_UUID_AT = 16;
const UUID_BYTES = 16;

/** Machines whose numbers of ioctls are these. */
const MACHINES: ReadonlySet<string> = new Set(['x64', 'arm64', 'riscv64', 'loong64']);

export interface FileSystemIdCalls {
  /** The UUID of the file system of an open file or folder, as blkid(8) shows it. Undefined if it tells none. */
  readonly uuidOf: (fd: number) => string | undefined;
}

export function loadFileSystemId(library: CLibrary): FileSystemIdCalls | undefined {
  if (!MACHINES.has(process.arch)) return undefined;
  return library.ability('disks are known by what is mounted, not by their UUIDs', declareUuid);
}

function declareUuid({ func }: LoadedLibrary): FileSystemIdCalls {
  const ioctl = func('int ioctl(int fd, unsigned long request, void *result)');
  const general = Buffer.alloc(FSUUID2_BYTES);
  const btrfs = Buffer.alloc(BTRFS_INFO_BYTES);
  return {
    uuidOf(fd) {
      if (ioctl(fd, FS_IOC_GETFSUUID, general) === 0 && general[0] === UUID_BYTES) return shown(general.subarray(1));
      btrfs.fill(0);
      if (ioctl(fd, BTRFS_IOC_FS_INFO, btrfs) !== 0) return undefined;
      return shown(btrfs.subarray(BTRFS_UUID_AT, BTRFS_UUID_AT + UUID_BYTES));
    },
  };
}

function shown(uuid: Buffer): string | undefined {
  if (uuid.every((byte) => byte === 0)) return undefined;
  const digits = uuid.toString('hex');
  return [digits.slice(0, 8), digits.slice(8, 12), digits.slice(12, 16), digits.slice(16, 20), digits.slice(20)].join(
    '-',
  );
}

"""Makes each request that a program can make of a FUSE mount. Argument: the mount point."""
import ctypes, os, signal, subprocess, sys, time

root = sys.argv[1]
folder = os.path.join(root, "folder")
libc = ctypes.CDLL(None, use_errno=True)


def attempt(work):
    """Some are refused."""
    try:
        return work()
    except OSError as error:
        return error.errno


os.mkdir(folder, 0o750)
path = os.path.join(folder, "file")
fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o640)
os.write(fd, b"twelve bytes")
os.fsync(fd)
os.fdatasync(fd)
attempt(lambda: os.lseek(fd, 5, os.SEEK_DATA))
attempt(lambda: os.posix_fallocate(fd, 0, 4096))
other = os.open(os.path.join(folder, "copy"), os.O_RDWR | os.O_CREAT, 0o600)
attempt(lambda: os.copy_file_range(fd, other, 7, 2, 3))
os.close(other)
os.close(fd)
with open(path, "rb") as file:
    file.read()
os.truncate(path, 5)
os.chmod(path, 0o600)
os.chown(path, 1, 2)
os.utime(path, ns=(-1_500_000_000, 1_700_000_000_000_000_007))
os.utime(path)
os.symlink("../target", os.path.join(folder, "link"))
os.readlink(os.path.join(folder, "link"))
os.mkfifo(os.path.join(folder, "fifo"), 0o622)
os.link(path, os.path.join(folder, "second name"))
os.rename(os.path.join(folder, "second name"), os.path.join(folder, "third name"))
libc.renameat2(-100, os.path.join(folder, "third name").encode(), -100, os.path.join(folder, "fourth").encode(), 1)
os.unlink(os.path.join(folder, "fourth"))
os.mkdir(os.path.join(folder, "empty"))
os.rmdir(os.path.join(folder, "empty"))
os.statvfs(root)
attempt(lambda: os.getxattr(path, "user.some"))
attempt(lambda: os.setxattr(path, "user.some", b"value", os.XATTR_CREATE))
attempt(lambda: os.listxattr(path))
attempt(lambda: os.removexattr(path, "user.some"))
attempt(lambda: os.stat(os.path.join(os.fsencode(folder), b"not \xff utf-8")))
# The attributes that come with the names are in use at first; read on, they are not.
for i in range(300):
    os.mkfifo(os.path.join(folder, f"many {i:03}"))
for entry in os.scandir(folder):
    entry.stat(follow_symlinks=False)
os.listdir(folder)
os.listdir(folder)
directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
os.fsync(directory)
os.close(directory)
attempt(lambda: os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o600))
subprocess.run(["stat", "-c", "%w", path], check=True, stdout=subprocess.DEVNULL)
# Its look-up is held until it is interrupted.
waiting = subprocess.Popen(["stat", os.path.join(root, "held")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
time.sleep(0.3)
waiting.send_signal(signal.SIGINT)
waiting.wait()
# An inode that nothing knows any more is forgotten alone, all others at once.
for name in os.listdir(folder):
    os.unlink(os.path.join(folder, name))
os.rmdir(folder)
for i in range(8):
    os.mkfifo(os.path.join(root, f"left {i}"))
time.sleep(0.2)
with open("/proc/sys/vm/drop_caches", "w") as caches:
    caches.write("2")
time.sleep(0.3)

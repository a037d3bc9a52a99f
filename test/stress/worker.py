"""Does to a folder what it is told, with the system calls themselves, and says what they answered.

Node has no mmap, no fallocate, no mkfifo, and no times of nanoseconds. And the folder may be a mount: a call of it that
hangs must not hang the test.

A message is two lengths of 32 bits, a JSON document and bytes, in both directions; one at a time.
"""

import ctypes
import errno
import fcntl
import hashlib
import json
import mmap
import os
import stat
import struct
import sys
import time

libc = ctypes.CDLL(None, use_errno=True)
AT_FDCWD, AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW, AT_STATX_FORCE_SYNC = -100, 0x1000, 0x100, 0x2000
STATX_BASIC_STATS = 0x7FF
UTIME_NOW, UTIME_OMIT = (1 << 30) - 1, (1 << 30) - 2

root = ""
handles = {}


def at(path):
    return os.path.join(root, path) if path else root


def check(result):
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def statx(target, fresh):
    """What stat(2) says, or None where there is nothing. Fresh: the kernel asks the server, whatever it remembers."""
    flags = AT_SYMLINK_NOFOLLOW | (AT_STATX_FORCE_SYNC if fresh else 0)
    buffer = ctypes.create_string_buffer(256)
    if isinstance(target, int):
        if target not in handles:
            return None
        result = libc.statx(handles[target], b"", flags | AT_EMPTY_PATH, STATX_BASIC_STATS, buffer)
    else:
        result = libc.statx(AT_FDCWD, os.fsencode(at(target)), flags, STATX_BASIC_STATS, buffer)
    if result < 0:
        number = ctypes.get_errno()
        if number in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
            return None
        raise OSError(number, os.strerror(number), str(target))
    (_, _, _, nlink, uid, gid, mode, ino, size, _, _) = struct.unpack_from("<IIQIIIHxxQQQQ", buffer)
    times = struct.unpack_from("<qIxxxxqIxxxxqIxxxxqIxxxx", buffer, 64)
    major, minor = struct.unpack_from("<II", buffer, 128)
    # JSON's numbers cannot hold a time in nanoseconds.
    ctime, mtime = (str(times[i] * 10**9 + times[i + 1]) for i in (4, 6))
    rdev = os.makedev(major, minor)
    return {"mode": mode, "nlink": nlink, "uid": uid, "gid": gid, "size": size, "rdev": rdev, "ino": ino,
            "mtime": mtime, "ctime": ctime}


def timespec(value):
    if value == "now":
        return (0, UTIME_NOW)
    if value == "omit":
        return (0, UTIME_OMIT)
    return tuple(value)


def same(fd, position, data, within):
    """Whether these bytes are there already. Asked of the reference only. A handle for writing alone cannot tell."""
    if position + len(data) > within:
        return False
    return whole(fd)[position:position + len(data)] == data


def write(m, data):
    fd = handles[m["handle"]]
    size = os.fstat(fd).st_size
    appends = bool(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_APPEND)
    identical = bool(m.get("look")) and same(fd, size if appends else m["position"], data, size)
    return {"value": os.pwrite(fd, data, m["position"]), "identical": identical}


def mapping(m, protection):
    """The pages that the range lies on, and where in them it begins. None of it may lie beyond the end."""
    if m["position"] + m["length"] > os.fstat(handles[m["handle"]]).st_size:
        raise OSError(errno.EINVAL, "beyond the end")
    start = m["position"] - m["position"] % mmap.PAGESIZE
    skip = m["position"] - start
    area = mmap.mmap(handles[m["handle"]], skip + m["length"], mmap.MAP_SHARED, protection, offset=start)
    return area, skip


def map_read(m, _):
    area, skip = mapping(m, mmap.PROT_READ)
    with area:
        return {"bytes": area[skip:skip + m["length"]]}


def map_write(m, data):
    fd = handles[m["handle"]]
    identical = bool(m.get("look")) and same(fd, m["position"], data, os.fstat(fd).st_size)
    area, skip = mapping(m, mmap.PROT_READ | mmap.PROT_WRITE)
    with area:
        area[skip:skip + len(data)] = data
        area.flush()
    return {"value": len(data), "identical": identical}


def rewrite(m, _):
    fd = handles[m["handle"]]
    data = os.pread(fd, m["length"], m["position"])
    return {"value": os.pwrite(fd, data, m["position"]), "identical": True}


def read(m, _):
    return {"bytes": os.pread(handles[m["handle"]], m["length"], m["position"])}


def open_file(m, _):
    # A run that was cut down may meet a FIFO where the whole one had a file: it must not wait for a writer.
    fd = os.open(at(m["path"]), m["flags"] | os.O_CLOEXEC | os.O_NONBLOCK, m["mode"])
    mode = os.fstat(fd).st_mode
    if not stat.S_ISREG(mode):
        os.close(fd)
        raise OSError(errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL, "no file")
    handles[m["handle"]] = fd


def close(m, _):
    os.close(handles.pop(m["handle"]))


def whole(fd):
    with open(f"/proc/self/fd/{fd}", "rb") as file:
        return file.read()


def fallocate(m, _):
    fd = handles[m["handle"]]
    before = whole(fd) if m.get("look") else None
    check(libc.fallocate(fd, m["mode"], ctypes.c_int64(m["position"]), ctypes.c_int64(m["length"])))
    return {"identical": before == whole(fd)} if m.get("look") else {}


def fsync(m, _):
    (os.fdatasync if m["dataOnly"] else os.fsync)(handles[m["handle"]])


def fsyncdir(m, _):
    fd = os.open(at(m["path"]), os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def utimens(m, _):
    times = struct.pack("<qqqq", *timespec(m["atime"]), *timespec(m["mtime"]))
    check(libc.utimensat(AT_FDCWD, os.fsencode(at(m["path"])), times, AT_SYMLINK_NOFOLLOW))


def rename(m, _):
    old, new = os.fsencode(at(m["path"])), os.fsencode(at(m["to"]))
    check(libc.renameat2(AT_FDCWD, old, AT_FDCWD, new, m["flags"]))


OPERATIONS = {
    "open": open_file,
    "close": close,
    "read": read,
    "mapRead": map_read,
    "write": write,
    "mapWrite": map_write,
    "rewrite": rewrite,
    "fallocate": fallocate,
    "ftruncate": lambda m, _: os.ftruncate(handles[m["handle"]], m["size"]),
    "fsync": fsync,
    "fsyncdir": fsyncdir,
    "truncate": lambda m, _: os.truncate(at(m["path"]), m["size"]),
    "unlink": lambda m, _: os.unlink(at(m["path"])),
    "rmdir": lambda m, _: os.rmdir(at(m["path"])),
    "mkdir": lambda m, _: os.mkdir(at(m["path"]), m["mode"]),
    "mkfifo": lambda m, _: os.mkfifo(at(m["path"]), m["mode"]),
    "chmod": lambda m, _: os.chmod(at(m["path"]), m["mode"]),
    "chown": lambda m, _: os.chown(at(m["path"]), m["uid"], m["gid"]),
    "utimens": utimens,
    "symlink": lambda m, _: os.symlink(m["target"], at(m["path"])),
    "link": lambda m, _: os.link(at(m["path"]), at(m["to"]), follow_symlinks=False),
    "rename": rename,
    "readdir": lambda m, _: {"value": sorted(os.listdir(at(m["path"])))},
    "readlink": lambda m, _: {"value": os.readlink(at(m["path"]))},
    "stat": lambda m, _: os.lstat(at(m["path"])) and None,
}


def operate(m, data):
    observed = [(target, bool(fresh)) for target, fresh in m["observe"]]
    before = [statx(target, fresh) for target, fresh in observed]
    started = time.time_ns()
    try:
        answer = OPERATIONS[m["do"]](m, data) or {}
    except OSError as error:
        answer = {"error": errno.errorcode.get(error.errno, str(error.errno))}
    except KeyError:
        # A handle that could not be opened.
        answer = {"error": "EBADF"}
    return {**answer, "before": before, "after": [statx(target, fresh) for target, fresh in observed],
            "started": str(started)}


def content(path):
    fd = os.open(at(path), os.O_RDONLY)
    try:
        parts = []
        while part := os.read(fd, 1 << 20):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(fd)


def tree(fresh):
    """All names below the root, and the root itself, with what they are and a hash of what they hold."""
    found = []

    def walk(path):
        entry = statx(path, fresh)
        if entry is None:
            raise OSError(errno.ENOENT, "listed, and not there", path)
        kind = stat.S_IFMT(entry["mode"])
        if kind == stat.S_IFREG:
            try:
                data = content(path)
                entry["hash"] = hashlib.sha1(data).hexdigest()
                entry["read"] = len(data)
            except OSError as error:
                entry["hash"] = errno.errorcode.get(error.errno, str(error.errno))
        elif kind == stat.S_IFLNK:
            entry["target"] = os.readlink(at(path))
        found.append({"path": path, **entry})
        if kind == stat.S_IFDIR:
            for name in sorted(os.listdir(at(path))):
                walk(f"{path}/{name}" if path else name)

    walk("")
    return {"value": found}


def answer(m, data):
    global root
    if m["do"] == "begin":
        for fd in handles.values():
            try:
                os.close(fd)
            except OSError:
                pass  # of a mount whose server was killed
        handles.clear()
        root = m["root"]
        return {}
    if m["do"] == "setMtime":
        path = handles[m["target"]] if isinstance(m["target"], int) else at(m["target"])
        os.utime(path, ns=(time.time_ns(), int(m["mtime"])))
        return {}
    if m["do"] == "tree":
        return tree(m["fresh"])
    if m["do"] == "content":
        return {"bytes": content(m["path"])}
    return operate(m, data)


def receive(count):
    data = sys.stdin.buffer.read(count)
    if len(data) < count:
        os._exit(0)
    return data


os.umask(0o022)
while True:
    text_length, data_length = struct.unpack("<II", receive(8))
    text = receive(text_length)
    try:
        reply = answer(json.loads(text), receive(data_length))
    except OSError as error:
        reply = {"failed": f"{type(error).__name__}: {error}"}
    payload = reply.pop("bytes", b"")
    out = json.dumps(reply).encode()
    sys.stdout.buffer.write(struct.pack("<II", len(out), len(payload)) + out + payload)
    sys.stdout.buffer.flush()

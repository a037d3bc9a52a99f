/**
 * Leases on open files: fcntl(2), F_SETLEASE. While a read lease is held, a program that opens the file for writing, or truncates it,
 * is held up by the kernel, which tells a thread of the holder's. It goes on when the lease is given back, and after
 * /proc/sys/fs/lease-break-time (45 s) in any case.
 *
 * The kernel tells by a signal, and the usual end of both signals that it may send is the end of the process. So they are ignored
 * everywhere, and blocked in the one thread that reads them (signalfd(2)): the kernel keeps a signal for a thread that
 * blocks it, ignored or not.
 *
 * A lease belongs to the open file, not to its number, and goes with its last descriptor.
 */
import type { CLibrary } from './c-library.ts';
import { EAGAIN, F_GETLEASE, F_RDLCK, F_SETLEASE, F_SETSIG, F_UNLCK, MACHINES } from './lease-numbers.ts';

/** fcntl(2). */
const F_SETOWN_EX = 15;
/** struct f_owner_ex { int type; pid_t pid }. */
const F_OWNER_TID = 0;
const F_OWNER_EX_BYTES = 8;

/** A real-time signal: the kernel queues one for each file. glibc keeps 32 and 33 for itself. */
const SIGNAL = 40;
/** Comes in its place, once and without a name, when the queue is full. */
const SIGIO = 29;
const SIG_IGN = 1;
const SIG_BLOCK = 0;
/** sigset_t, with bit n - 1 for signal n. */
const SIGSET_BYTES = 128;
const SFD_CLOEXEC = 0o2000000;
const SFD_NONBLOCK = 0o4000;
/** struct signalfd_siginfo { u32 ssi_signo; … s32 ssi_fd at 20; … }. */
const SIGINFO_BYTES = 128;
const FD_AT = 20;

/** `busy`: somebody has the file open for writing, or it is about to be. `none`: there is no lease on it for this user. */
export type Taken = 'held' | 'busy' | 'none';

export interface LeaseCalls {
  /**
   * Makes this thread the one that is told, before it takes a lease. Gives the descriptor that is readable when one is to be given back.
   * @throws Error
   */
  readonly listen: () => number;
  /** Takes a read lease on a file that is open for reading only. */
  readonly take: (fd: number) => Taken;
  /** Tells if a lease that was taken is held, and nobody waits for it. */
  readonly isHeld: (fd: number) => boolean;
  /** Gives a lease back, from any thread: whoever waits goes on. */
  readonly giveBack: (fd: number) => void;
  /** Says of which files the lease is to be given back, in the listening thread. `all`: the kernel does not say which. */
  readonly wanted: () => ReadonlySet<number> | 'all';
}

export function loadLeaseCalls(library: CLibrary): LeaseCalls | undefined {
  if (!MACHINES.has(process.arch)) return undefined;
  return library.ability('what is written to sources is noticed after the first byte', ({ koffi, func }) => {
    const fcntl = func('int fcntl(int fd, int command, int value)');
    const setOwner = func('fcntl', 'int', ['int', 'int', 'void *']);
    const gettid = func('int gettid()');
    const signal = func('intptr_t signal(int signal, intptr_t handler)');
    const mask = func('int pthread_sigmask(int how, const void *set, void *old)');
    const signalfd = func('int signalfd(int fd, const void *set, int flags)');
    const read = func('int64_t read(int fd, void *buffer, size_t size)');
    const owner = Buffer.alloc(F_OWNER_EX_BYTES);
    const signals = Buffer.alloc(256 * SIGINFO_BYTES);
    let listening = -1;
    return {
      listen() {
        const set = Buffer.alloc(SIGSET_BYTES);
        set.writeBigUInt64LE((1n << BigInt(SIGNAL - 1)) | (1n << BigInt(SIGIO - 1)));
        for (const number of [SIGNAL, SIGIO]) signal(number, SIG_IGN);
        if (Number(mask(SIG_BLOCK, set, null)) !== 0) throw new Error('signals cannot be blocked');
        listening = Number(signalfd(-1, set, SFD_CLOEXEC | SFD_NONBLOCK));
        if (listening < 0) throw new Error('signalfd failed');
        owner.writeInt32LE(F_OWNER_TID, 0);
        owner.writeInt32LE(Number(gettid()), 4);
        return listening;
      },
      take(fd) {
        // Whom to tell comes first: the lease may be wanted at once.
        if (Number(fcntl(fd, F_SETSIG, SIGNAL)) < 0 || Number(setOwner(fd, F_SETOWN_EX, owner)) < 0) return 'none';
        if (Number(fcntl(fd, F_SETLEASE, F_RDLCK)) === 0) return 'held';
        return koffi.errno() === EAGAIN ? 'busy' : 'none';
      },
      isHeld: (fd) => Number(fcntl(fd, F_GETLEASE, 0)) === F_RDLCK,
      giveBack: (fd) => void fcntl(fd, F_SETLEASE, F_UNLCK),
      wanted() {
        const fds = new Set<number>();
        let all = false;
        for (let length = signals.length; length === signals.length; ) {
          length = Number(read(listening, signals, signals.length));
          for (let at = 0; at < length; at += SIGINFO_BYTES) {
            if (signals.readUInt32LE(at) === SIGIO) all = true;
            else fds.add(signals.readInt32LE(at + FD_AT));
          }
        }
        return all ? 'all' : fds;
      },
    };
  });
}

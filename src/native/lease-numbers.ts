/** The numbers of fcntl(2) for leases, and the machines that have them. */
export const F_SETSIG = 10;
export const F_SETLEASE = 1024;
export const F_GETLEASE = 1025;
export const F_RDLCK = 0;
export const F_UNLCK = 2;
/** Somebody has the file open for writing. */
export const EAGAIN = 11;

export const MACHINES: ReadonlySet<string> = new Set(['x64', 'arm64', 'riscv64', 'loong64']);

import { runByteNames } from './byte-names.ts';
import { runPosix } from './posix.ts';
import { runReading } from './reading.ts';
import { VfsSubject } from './subject.ts';

runReading('the bare vfs', (folder) => VfsSubject.open(folder));
runPosix('the bare vfs', (folder) => VfsSubject.open(folder));
runByteNames('the bare vfs', (folder) => VfsSubject.open(folder));

import { runPosix } from './posix.ts';
import { runReading } from './reading.ts';
import { VfsSubject } from './subject.ts';

runReading('the bare vfs', VfsSubject.open);
runPosix('the bare vfs', VfsSubject.open);

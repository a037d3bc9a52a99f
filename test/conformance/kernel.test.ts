import { runByteNames } from './byte-names.ts';
import { runInodes } from './inodes.ts';
import { runMount } from './mount.ts';
import { runPosix } from './posix.ts';
import { runPrograms } from './programs.ts';
import { runReading } from './reading.ts';
import { MountSubject } from './subject.ts';

const driver = 'kernel';
runReading(`a mount, driver ${driver}`, (folder) => MountSubject.open(folder, driver));
runPosix(`a mount, driver ${driver}`, (folder) => MountSubject.open(folder, driver));
runByteNames(`a mount, driver ${driver}`, (folder) => MountSubject.open(folder, driver));
runPrograms(driver);
runMount(driver);
runInodes(driver);

import { runMount } from './mount.ts';
import { runPosix } from './posix.ts';
import { runPrograms } from './programs.ts';
import { runReading } from './reading.ts';
import { MountSubject } from './subject.ts';

const driver = 'fuse-native';
runReading(`a mount, driver ${driver}`, (folder) => MountSubject.open(folder));
runPosix(`a mount, driver ${driver}`, (folder) => MountSubject.open(folder));
runPrograms(driver);
runMount(driver);

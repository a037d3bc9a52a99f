import { join } from 'node:path';
import { describeStress } from './stress.ts';
import { MountSubject } from './mount-subject.ts';

describeStress('the mount beside a folder', async (folder, fixture) => await MountSubject.start({ mountPoint: join(folder, 'store'), statePath: join(folder, 'state') }, fixture));

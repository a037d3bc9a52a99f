import { join } from 'node:path';
import { MountSubject } from './mount-subject.ts';
import { describeStress } from './stress.ts';

describeStress(
  'the mount beside a folder',
  3000,
  async (folder, fixture) =>
    await MountSubject.start({ mountPoint: join(folder, 'store'), statePath: join(folder, 'state') }, fixture),
);

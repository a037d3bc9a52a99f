import { join } from 'node:path';
import { DRIVERS } from '../conformance/drivers.ts';
import { MountSubject } from './mount-subject.ts';
import { describeStress } from './stress.ts';

for (const driver of DRIVERS) {
  describeStress(
    `the mount beside a folder, driver ${driver}`,
    3000,
    async (folder, fixture) =>
      await MountSubject.start(
        { driver, mountPoint: join(folder, 'store'), statePath: join(folder, 'state') },
        fixture,
      ),
  );
}

import { join } from 'node:path';
import { describeStress } from './stress.ts';
import { VfsSubject } from './vfs-subject.ts';

describeStress(
  'the vfs beside a folder',
  4000,
  async (folder, fixture) => await VfsSubject.open(join(folder, 'state'), fixture),
);

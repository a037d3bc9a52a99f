/** The same as an ordinary user, who finds no file by its handle, and watches folders and not file systems. */
import { FILE_SYSTEM_KINDS } from '../harness/file-systems.ts';
import { expectSurvival } from './expect-survival.ts';

for (const kind of FILE_SYSTEM_KINDS) {
  const short = [
    'renamed',
    'folder two levels up renamed',
    'two files swap names',
    'chmod -R',
    'deleted, a second hard link stays',
    'bytes changed, mtime set back',
  ];
  expectSurvival({ kind, person: 'user', ...(kind === 'ext4' ? { short } : {}) });
}

import { expectSurvival } from './expect-survival.ts';

expectSurvival({
  kind: 'xfs',
  person: 'root',
  short: ['moved within the disk', 'two files swap names', 'bytes changed, mtime set back'],
});

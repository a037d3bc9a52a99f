import { expectSurvival } from './expect-survival.ts';

expectSurvival({
  kind: 'btrfs',
  person: 'root',
  short: ['folder two levels up renamed', 're-tagged in place', 'bytes changed, mtime set back'],
});

import { expectSurvival } from './expect-survival.ts';

expectSurvival({
  kind: 'fuse',
  person: 'root',
  short: ['renamed', 'mtime touched', 'a backup restored over the library', '100 bytes overwritten in the middle'],
});

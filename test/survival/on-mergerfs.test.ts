import { expectSurvival } from './expect-survival.ts';

expectSurvival({
  kind: 'mergerfs',
  person: 'root',
  short: [
    'renamed',
    'two files swap names',
    "moved to another branch by mergerfs's balance",
    '100 bytes overwritten in the middle',
  ],
});

import { expectSurvival } from './expect-survival.ts';

expectSurvival({ kind: 'ext4', person: 'root', short: 'all' });

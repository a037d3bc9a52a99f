import { expectSurvivalOn } from './expect-survival.ts';

expectSurvivalOn('ext4', [{ person: 'root', server: 'running' }]);

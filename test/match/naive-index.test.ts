import { describeIndex } from '../collection/contract.ts';
import { NaiveIndex } from './naive-index.ts';

describeIndex('the naive one of the tests of matching', async (disk) => new NaiveIndex(disk));

import { testKeptFilesOn } from './kept-on.ts';

testKeptFilesOn('xfs');

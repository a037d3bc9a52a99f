import { testKeptFilesOn } from './kept-on.ts';

testKeptFilesOn('mergerfs');

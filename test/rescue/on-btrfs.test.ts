import { testKeptFilesOn } from './kept-on.ts';

testKeptFilesOn('btrfs');

import { testKeptFilesOn } from './kept-on.ts';

testKeptFilesOn('ext4');

import { runConformance } from './suite.ts';

runConformance('fuse-native');

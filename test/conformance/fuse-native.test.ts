import { runConformance } from './suite.ts';
import { runWritingConformance } from './writing.ts';

runConformance('fuse-native');
runWritingConformance('fuse-native');

import { manyTorrentsContract } from '../many.ts';
import { subject } from './subject.ts';

manyTorrentsContract(subject);

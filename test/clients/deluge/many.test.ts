import { manyTorrentsContract } from '../many.ts';
import { subject, webSubject } from './subject.ts';

manyTorrentsContract(subject);
manyTorrentsContract(webSubject);

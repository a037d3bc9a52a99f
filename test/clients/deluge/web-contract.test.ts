import { clientContract } from '../contract.ts';
import { strangersContract } from '../strangers.ts';
import { webSubject } from './subject.ts';

clientContract(webSubject);
strangersContract(webSubject);

import { clientContract } from '../contract.ts';
import { strangersContract } from '../strangers.ts';
import { subject } from './subject.ts';

clientContract(subject);
strangersContract(subject);

import { clientContract } from '../contract.ts';
import { subject } from './subject.ts';

clientContract(subject);

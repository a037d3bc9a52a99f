/** The worker of the hash pool: piscina loads it in each of its threads. */
import { hashJobs } from './hash-jobs.ts';

export default hashJobs;

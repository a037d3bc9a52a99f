import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { temporaryFolder } from '../harness/folder.ts';

const FILES = 60;

/** Hashes, in each of 24 tasks of four threads, one byte of each of the files named by its arguments; prints the digests. */
const PROGRAM = `
const [pool, identity, ...paths] = process.argv.slice(1);
const { createHashPool } = await import(pool);
const { identityOf } = await import(identity);
const { lstatSync } = await import('node:fs');
const files = paths.map((path) => ({ path: Buffer.from(path), identity: identityOf(lstatSync(path, { bigint: true })) }));
const hashing = createHashPool({ sources: { disks: ['/'] }, threads: 4 });
const job = files.map((file) => ({ ...file, offset: 0, length: 1 }));
const results = await Promise.all(Array.from({ length: 24 }, () => hashing.hash([job, job])));
console.log(JSON.stringify(results.flat().map((r) => 'failed' in r ? r.message : r.digest.toString('hex'))));
await hashing.close();
`;

it('a pool in a process of few descriptors hashes more files than it may open', () => {
  const folder = temporaryFolder('hash-descriptors');
  const paths = Array.from({ length: FILES }, (_, i) => join(folder, `${i}`));
  for (const path of paths) writeFileSync(path, 'a');
  const modules = ['../../src/hash/piscina-pool.js', '../../src/source/identity.js'].map(
    (name) => new URL(name, import.meta.url).href,
  );
  const args = ['--nofile=100', process.execPath, '--input-type=module', '-e', PROGRAM, ...modules, ...paths];
  const digests = JSON.parse(execFileSync('prlimit', args, { encoding: 'utf8' })) as string[];
  const wanted = createHash('sha1').update('a'.repeat(FILES)).digest('hex');
  assert.deepEqual([...new Set(digests)], [wanted]);
  assert.equal(digests.length, 48);
});

/** Asks an index once, as a command does, and ends: `ask-index.js direct|process DB`. */
import { openCollection } from '../../src/collection/open.ts';
import { silentLogger } from '../../src/logger.ts';

const [way, db = ''] = process.argv.slice(2);
const questions = Array.from({ length: 1000 }, (_, i) => ({ min: i, max: 1e12, near: i * 1000, limit: 3 }));

if (way === 'direct') {
  const { openLevel } = await import('../../src/leveldb/open.ts');
  const { openIndex } = await import('../../src/collection/level/open-index.ts');
  const level = await openLevel(db, { code: 'INDEX', what: 'the collection index', create: false, waitMs: 10_000 });
  await (await openIndex(level)).bySize(questions);
  await level.close();
} else {
  const collection = openCollection({ db }, { logger: silentLogger, signal: new AbortController().signal });
  const index = await collection.openIndex();
  await index.bySize(questions);
  await index.close();
}

/**
 * An index for several torrents that are matched side by side: merges questions of the same moment into one batch.
 *
 * Each torrent asks for itself, at its own pace; a batch costs about as much as a single question. Equal questions of one
 * batch are asked once: `poster.jpg` of one size may be in every torrent. Callers share the answers, so nobody may change
 * them.
 */
import type { CollectionIndex } from '../collection/index.ts';

/** Closing it closes `index`. */
export function mergeQuestions(index: CollectionIndex): CollectionIndex {
  const byNameAndSize = merger(index, 'byNameAndSize', ({ name, size }) => `${size}/${name}`);
  const byName = merger(index, 'byName', ({ name, min, max, limit }) => `${min}/${max}/${limit ?? ''}/${name}`);
  const bySize = merger(index, 'bySize', ({ min, max, near, limit }) => `${min}/${max}/${near}/${limit}`);
  const archived = merger(index, 'archived', ({ size, name, limit }) => JSON.stringify([size, limit, name]));
  const releases = merger(index, 'releases', (name) => name);
  const folders = merger(index, 'folders', (name) => name.toString('latin1'));
  const byInode = merger(index, 'byInode', ({ dev, ino }) => `${dev}:${ino}`);
  const leftOut = merger(index, 'leftOut', ({ name, min, max, limit }) => `${min}/${max}/${limit}/${name}`);
  const awayDisks = merger(index, 'awayDisks', (path) => path.toString('latin1'));
  const known = merger(index, 'known', (path) => path.toString('latin1'));
  const trees = merger(index, 'trees', String);
  const close = async (): Promise<void> => await index.close();
  const { version } = index;
  return {
    version,
    byNameAndSize,
    byName,
    bySize,
    archived,
    releases,
    folders,
    byInode,
    leftOut,
    awayDisks,
    known,
    trees,
    close,
  };
}

type Method = Exclude<keyof CollectionIndex, 'close' | 'version'>;
type Question<M extends Method> = Parameters<CollectionIndex[M]>[0][number];
type Answer<M extends Method> = Awaited<ReturnType<CollectionIndex[M]>>[number];

interface Asked<Q, A> {
  readonly questions: readonly Q[];
  readonly resolve: (answers: A[]) => void;
  readonly reject: (reason: unknown) => void;
}

function merger<M extends Method>(
  index: CollectionIndex,
  method: M,
  keyOf: (question: Question<M>) => string,
): (questions: readonly Question<M>[]) => Promise<Answer<M>[]> {
  const ask = index[method].bind(index) as unknown as (questions: readonly Question<M>[]) => Promise<Answer<M>[]>;
  let waiting: Asked<Question<M>, Answer<M>>[] = [];
  const flush = async (): Promise<void> => {
    const asked = waiting;
    waiting = [];
    const [only] = asked;
    // Callers ask no question twice in one batch, and one alone has none to share.
    if (asked.length === 1 && only !== undefined) {
      await ask(only.questions).then(only.resolve, only.reject);
      return;
    }
    const places = new Map<string, number>();
    const merged: Question<M>[] = [];
    const wanted = asked.map(({ questions }) =>
      questions.map((question) => {
        const key = keyOf(question);
        const known = places.get(key);
        if (known !== undefined) return known;
        places.set(key, merged.length);
        return merged.push(question) - 1;
      }),
    );
    try {
      const answers = await ask(merged);
      if (answers.length !== merged.length) throw new Error(`${answers.length} answers to ${merged.length} questions`);
      for (const [i, { resolve }] of asked.entries()) {
        resolve((wanted[i] ?? []).map((place) => answers[place] as Answer<M>));
      }
    } catch (error) {
      for (const { reject } of asked) reject(error);
    }
  };
  return async (questions) => {
    if (questions.length === 0) return [];
    return await new Promise((resolve, reject) => {
      if (waiting.push({ questions, resolve, reject }) === 1) setImmediate(() => void flush());
    });
  };
}

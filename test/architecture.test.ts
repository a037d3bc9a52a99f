/** Holds the table of ARCHITECTURE.md as an allow-list: which folder of src may import which. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { describe, it } from 'node:test';

const SRC = resolve('src');

/**
 * What a folder may import at run time; types may be imported from anywhere. A row holds for all that lies in its folder,
 * but for folders in it that have rows of their own. To name a folder is to name the folders in it.
 */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  extent: [],
  bytes: [],
  'bytes/name-text.ts': [],
  state: ['native'],
  leveldb: ['state'],
  native: [],
  source: ['native', 'source/own-folder.ts'],
  'source/own-folder.ts': ['native'],
  metainfo: ['extent'],
  container: ['extent', 'source'],
  // Its own files are the port, and open the way to the process that keeps the index.
  collection: ['collection/process/client'],
  'collection/names.ts': [],
  'collection/release.ts': [],
  'collection/scan': ['collection/names.ts', 'collection/release.ts', 'native', 'source', 'container'],
  'collection/level': ['collection/scan', 'collection/names.ts', 'collection/release.ts', 'leveldb'],
  'collection/process/wire': ['bytes'],
  'collection/process/client': ['collection/process/wire', 'bytes', 'leveldb', 'native', 'state'],
  'collection/process/owner': [
    'collection/process/wire',
    'collection/level',
    'bytes',
    'leveldb',
    'native',
    'source',
    'state',
  ],
  hash: ['metainfo', 'extent', 'native', 'source'],
  match: ['metainfo', 'collection', 'container', 'hash', 'extent', 'source'],
  heal: ['match', 'metainfo', 'extent', 'source', 'native'],
  plan: ['match', 'metainfo', 'extent', 'bytes', 'native'],
  store: ['plan', 'extent', 'native', 'source'],
  vfs: ['vfs/lending', 'vfs/proving', 'store', 'source', 'extent', 'native'],
  'vfs/lending': ['source', 'extent', 'native'],
  // Its thread hashes.
  'vfs/proving': ['metainfo', 'source', 'extent', 'native'],
  rescue: ['native', 'source'],
  watch: ['native', 'source/own-folder.ts'],
  leases: ['native'],
  fuse: ['fuse/native', 'fuse/kernel'],
  'fuse/mounting': ['native'],
  'fuse/native': ['fuse', 'vfs', 'extent', 'native'],
  'fuse/kernel': ['fuse', 'fuse/mounting', 'bytes', 'vfs', 'vfs/lending', 'native'],
  'fuse/kernel/protocol': ['bytes', 'fuse'],
  // Its own files put the adapters together.
  clients: [
    'bytes',
    'clients/rtorrent',
    'clients/deluge',
    'clients/transmission',
    'clients/qbittorrent',
    'clients/wire',
  ],
  'clients/wire': ['bytes', 'native', 'state'],
  'clients/adding': ['clients/wire'],
  'clients/libtorrent': ['extent'],
  'clients/rtorrent': ['clients/adding', 'clients/wire', 'metainfo', 'extent'],
  'clients/deluge': ['bytes', 'clients/adding', 'clients/libtorrent', 'clients/wire'],
  'clients/transmission': ['clients/adding', 'clients/wire'],
  'clients/qbittorrent': ['clients/adding', 'clients/libtorrent', 'clients/wire'],
  config: ['bytes', 'native', 'source'],
  control: ['bytes', 'extent', 'native', 'source', 'state'],
  app: [
    'extent',
    'bytes',
    'leveldb',
    'native',
    'source',
    'metainfo',
    'container',
    'collection',
    'hash',
    'heal',
    'match',
    'plan',
    'fuse',
    'clients',
    'config',
    'control',
    'state',
  ],
  // The process that serves: no scan, no hash but in threads of `vfs/proving`, no client (invariant 5), and no command's use case.
  server: [
    'bytes',
    'leases',
    'extent',
    'leveldb',
    'native',
    'source',
    'plan',
    'store',
    'vfs',
    'fuse',
    'config',
    'control',
    'state',
    'rescue',
    'watch',
    'server/few-lines.ts',
    'server/health',
    'server/news',
    'server/processes',
    'server/protect',
    'server/rescue',
    'server/settling',
  ],
  'server/few-lines.ts': [],
  'server/health': ['native'],
  'server/protect': ['native', 'rescue', 'server/few-lines.ts', 'source'],
  'server/rescue': ['rescue', 'native', 'source', 'server/few-lines.ts'],
  'server/settling': ['extent', 'native', 'source'],
  'server/news': ['native', 'source', 'watch'],
  'server/processes': ['bytes'],
  // What runs in the processes that the server starts.
  'server/children': ['app', 'clients', 'config', 'control', 'native', 'source', 'server/processes'],
  cli: ['app', 'server', 'config', 'state', 'bytes'],
  'name-limits.ts': ['bytes/name-text.ts'],
  'main.ts': ['cli'],
  'start.cts': ['main.ts'],
};
/** Of `store/`, all that others may import at run time; of its types, all that they may name: no key, no record's bytes. */
const STORE_CODE: ReadonlySet<string> = new Set(['store.ts', 'ballast.ts']);
const STORE_TYPES: ReadonlySet<string> = new Set([
  'store.ts',
  'ballast.ts',
  'maybe-promise.ts',
  'notices.ts',
  'entries/entry.ts',
  'entries/entry-files.ts',
  'overlay/content.ts',
  'overlay/differences.ts',
  'overlay/discard.ts',
  'overlay/mapped-writing.ts',
  'records/record.ts',
  'sources/pool-files.ts',
  'tree/namespace.ts',
]);
const FOR_ALL: ReadonlySet<string> = new Set([
  'batches.ts',
  'bytes/name-text.ts',
  'errors.ts',
  'logger.ts',
  'longer-pause.ts',
  'name-limits.ts',
  'printable.ts',
  'shown-url.ts',
  'within.ts',
]);

/** Each third-party package has one owner. */
const PACKAGE_OWNERS: Readonly<Record<string, string>> = {
  'fuse-native': 'src/fuse/native',
  'fuse-shared-library': 'src/fuse/native',
  koffi: 'src/native',
  piscina: 'src/hash',
  '@ctrl/deluge': 'src/clients/deluge',
  '@ctrl/qbittorrent': 'src/clients/qbittorrent',
  '@ctrl/transmission': 'src/clients/transmission',
  xmlrpc: 'src/clients/wire',
  commander: 'src/cli',
  bencode: 'src/metainfo',
  picomatch: 'src/collection/scan',
  valibot: 'src/config',
  level: 'src/leveldb',
};

interface Import {
  readonly file: string;
  readonly specifier: string;
  readonly typeOnly: boolean;
}

function sourceFiles(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return sourceFiles(path);
    return /\.c?ts$/.test(entry.name) ? [path] : [];
  });
}

/** Static and dynamic imports, re-exports, `require` and `import.meta.resolve` of one file's text. */
export function importsOf(file: string, text: string): Import[] {
  const code = text.replaceAll(/^\s*(?:\/\/|\*|\/\*).*$/gm, '');
  const found: Import[] = [];
  for (const m of code.matchAll(/^(?:import|export)\s+(type\s+)?([^;'"]*?from\s*)?['"]([^'"]+)['"]/gm)) {
    const clause = (m[2] ?? '').replace(/from\s*$/, '').trim();
    const named = /^\{([\s\S]*)\}$/.exec(clause)?.[1];
    const allTypes = named?.split(',').every((name) => name.trim() === '' || name.trim().startsWith('type '));
    found.push({ file, specifier: m[3] ?? '', typeOnly: m[1] !== undefined || allTypes === true });
  }
  for (const m of code.matchAll(/(?:\bimport|\brequire|\.resolve)\(\s*['"]([^'"]+)['"]\s*\)/g)) {
    found.push({ file, specifier: m[1] ?? '', typeOnly: false });
  }
  return found;
}

/** The row that holds for a path: that of the nearest folder that has one; its topmost folder where none has. */
function rowOf(path: string): string {
  const parts = relative(SRC, path).split(sep);
  for (let depth = parts.length; depth > 1; depth--) {
    const folder = parts.slice(0, depth).join('/');
    if (folder in MAY_IMPORT) return folder;
  }
  return parts[0] ?? '';
}

function mayImport(from: string, to: string): boolean {
  if (from === to || FOR_ALL.has(to)) return true;
  return MAY_IMPORT[from]?.some((allowed) => to === allowed || to.startsWith(`${allowed}/`)) === true;
}

const files = sourceFiles(SRC);
const imports = files.flatMap((file) => importsOf(file, readFileSync(file, 'utf8')));

describe('the import table', () => {
  it('finds every form of import', () => {
    const text =
      "import a from './a.ts';\nimport type { B } from './b.ts';\nimport { type C } from './c.ts';\n" +
      "export { d } from './d.ts';\nimport './e.ts';\nconst f = await import('./f.ts');\nimport {\n  g,\n  type H,\n} from './g.ts';\n";
    assert.deepEqual(
      importsOf('x', text).map((i) => `${i.specifier}${i.typeOnly ? ' type' : ''}`),
      ['./a.ts', './b.ts type', './c.ts type', './d.ts', './e.ts', './g.ts', './f.ts'],
    );
  });

  it('has a row for every folder', () => {
    const folders = new Set(files.map(rowOf).filter((name) => !FOR_ALL.has(name)));
    assert.deepEqual(
      [...folders].filter((name) => !(name in MAY_IMPORT)),
      [],
    );
  });

  it('has a row for every folder beside one that has a row of its own', () => {
    const parted = new Set(Object.keys(MAY_IMPORT).map((row) => dirname(row)));
    parted.delete('.');
    const folders = new Set(files.map((file) => dirname(relative(SRC, file)).replaceAll(sep, '/')));
    assert.deepEqual(
      [...folders].filter((folder) => parted.has(dirname(folder)) && !(folder in MAY_IMPORT)),
      [],
    );
  });

  it('has no row without a folder, and names no folder without a row', () => {
    const rows = new Set(files.map(rowOf));
    assert.deepEqual(
      Object.entries(MAY_IMPORT).flatMap(([row, allowed]) => [row, ...allowed].filter((name) => !rows.has(name))),
      [],
    );
  });

  it('is kept by every relative import', () => {
    const broken: string[] = [];
    for (const { file, specifier, typeOnly } of imports) {
      if (!specifier.startsWith('.')) continue;
      assert.match(specifier, /\.ts$/, `${relative(SRC, file)} imports ${specifier} without .ts`);
      if (typeOnly || mayImport(rowOf(file), rowOf(resolve(dirname(file), specifier)))) continue;
      broken.push(`${relative(SRC, file)} imports ${specifier}`);
    }
    assert.deepEqual(broken, []);
  });

  it('is kept by every package', () => {
    const broken: string[] = [];
    for (const { file, specifier, typeOnly } of imports) {
      if (typeOnly || specifier.startsWith('.') || specifier.startsWith('node:')) continue;
      const name = specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
      const owner = PACKAGE_OWNERS[name];
      if (owner === undefined) broken.push(`${name}, in ${relative(SRC, file)}, has no owner`);
      else if (!resolve(file).startsWith(resolve(owner) + sep)) broken.push(`${relative(SRC, file)} imports ${name}`);
    }
    assert.deepEqual(broken, []);
  });

  it('hides keys and records in the store', () => {
    const broken: string[] = [];
    for (const { file, specifier, typeOnly } of imports) {
      if (!specifier.startsWith('.')) continue;
      const [from, to] = [relative(SRC, file), relative(SRC, resolve(dirname(file), specifier))];
      if (from.startsWith(`store${sep}`) || !to.startsWith(`store${sep}`)) continue;
      const name = relative('store', to);
      if (!(typeOnly ? STORE_TYPES : STORE_CODE).has(name)) broken.push(`${from} imports ${specifier}`);
    }
    assert.deepEqual(broken, []);
  });

  it('has no cycle between files', () => {
    const graph = new Map<string, string[]>();
    for (const { file, specifier, typeOnly } of imports) {
      if (typeOnly || !specifier.startsWith('.')) continue;
      graph.set(file, [...(graph.get(file) ?? []), resolve(dirname(file), specifier)]);
    }
    const done = new Set<string>();
    const visit = (file: string, trail: readonly string[]): void => {
      if (trail.includes(file)) {
        assert.fail(`cycle: ${[...trail.slice(trail.indexOf(file)), file].map((f) => relative(SRC, f)).join(' > ')}`);
      }
      if (done.has(file)) return;
      for (const next of graph.get(file) ?? []) visit(next, [...trail, file]);
      done.add(file);
    };
    for (const file of graph.keys()) visit(file, []);
  });
});

/** The files that write to standard output or standard error: each escapes what it writes. Questions go through readline. */
const WRITERS: ReadonlySet<string> = new Set([
  'cli/ask-secret.ts',
  'cli/confirm.ts',
  'cli/terminal.ts',
  'logger.ts',
  'main.ts',
]);
const WRITES =
  /\bprocess\.(?:stdout|stderr)\b|\bconsole\.|\bprocess\.emitWarning\b|\bwriteSync\([12]\b|\/dev\/(?:tty|std)/;

describe('output', () => {
  it('is written by the terminal and the logger alone', () => {
    const writers = files.filter((file) => WRITES.test(readFileSync(file, 'utf8'))).map((file) => relative(SRC, file));
    assert.deepEqual(
      writers.filter((file) => !WRITERS.has(file)),
      [],
    );
    assert.deepEqual(
      [...WRITERS].filter((file) => !writers.includes(file)),
      [],
    );
  });

  it('gets its escape codes from the terminal and its markup alone', () => {
    const makers = files.filter((file) => /\\x1b\[|\\u001b\[|\\e\[/.test(readFileSync(file, 'utf8')));
    assert.deepEqual(makers.map((file) => relative(SRC, file)).toSorted(), ['cli/markup.ts', 'cli/terminal.ts']);
  });
});

import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, beforeEach, describe, it } from 'node:test';
import { createConfig } from '../../src/config/create.ts';
import { type LoadOptions, loadConfig } from '../../src/config/load.ts';
import { parseConfig } from '../../src/config/parse.ts';
import { AutotorrentError } from '../../src/errors.ts';
import { temporaryFolder } from '../harness/folder.ts';

let root: string;
let folder: string;
before(async () => {
  root = temporaryFolder('config');
});
beforeEach(async () => {
  folder = await mkdtemp(join(root, 'case-'));
});

async function write(name: string, text = '[general]\nstore_path = /store\n'): Promise<string> {
  const file = join(folder, name);
  await mkdir(join(file, '..'), { recursive: true });
  await writeFile(file, text);
  return file;
}

const load = (options: Partial<LoadOptions> = {}): ReturnType<typeof loadConfig> =>
  loadConfig({ cwd: folder, env: { HOME: join(folder, 'home') }, ...options });

/** Where the index goes, below the test's folder, and how many notices there are. */
async function dbOf(): Promise<[string, number]> {
  const config = await load();
  return [config.db.slice(folder.length + 1), config.notices.length];
}

async function refusal(promise: Promise<unknown>): Promise<AutotorrentError> {
  const error: unknown = await promise.then(
    () => assert.fail('it was accepted'),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof AutotorrentError, String(error));
  assert.equal(error.code, 'CONFIG');
  return error;
}

describe('loadConfig', () => {
  it('looks in four places, in order', async () => {
    const env = { HOME: join(folder, 'home'), XDG_CONFIG_HOME: join(folder, 'xdg'), AUTOTORRENT_CONFIG: 'by-env' };
    const last = await write('xdg/autotorrent/autotorrent.conf');
    const standard = await write('home/.config/autotorrent/autotorrent.conf');
    const { AUTOTORRENT_CONFIG: _, ...withoutName } = env;
    assert.equal((await load({ env: withoutName })).file, last);
    assert.equal((await load()).file, standard);
    assert.equal((await load({ env: { ...withoutName, XDG_CONFIG_HOME: 'xdg' } })).file, standard);
    const here = await write('autotorrent.conf');
    assert.equal((await load({ env: withoutName })).file, here);
    assert.equal((await load({ env: { ...env, AUTOTORRENT_CONFIG: '' } })).file, here);
    const byEnv = await write('by-env');
    assert.equal((await load({ env })).file, byEnv);
    const byOption = await write('sub/by-option');
    assert.equal((await load({ env, file: 'sub/by-option' })).file, byOption);
    // Paths in it start at its own folder, not at the caller's.
    assert.equal((await load({ env, file: 'sub/by-option' })).db, join(folder, 'sub/autotorrent.db'));
  });

  it('says where it looked', async () => {
    const error = await refusal(load());
    assert.equal(
      error.message,
      `there is no configuration: neither ${folder}/autotorrent.conf nor ${folder}/home/.config/autotorrent/autotorrent.conf exists`,
    );
    assert.match(error.hint ?? '', /autotorrent init/);
  });

  it('does not look further than a file that was named', async () => {
    await write('autotorrent.conf');
    const byOption = await refusal(load({ file: "it's" }));
    assert.equal(byOption.message, `the configuration ${folder}/it's, named by -c, does not exist`);
    assert.match(byOption.hint ?? '', /autotorrent init '\/.*\/it'\\''s' writes/);
    const byEnv = await refusal(load({ env: { AUTOTORRENT_CONFIG: 'gone/x' } }));
    assert.equal(byEnv.message, `the configuration ${folder}/gone/x, named by AUTOTORRENT_CONFIG, does not exist`);
  });

  it('refuses what is no file of text', async () => {
    assert.equal(
      (await refusal(load({ file: '.' }))).message,
      `the configuration ${folder} is not a configuration: it is a folder, not a file`,
    );
    await write('big', `#${' '.repeat(1024 * 1024)}`);
    assert.equal(
      (await refusal(load({ file: 'big' }))).message,
      `the configuration ${folder}/big is not a configuration: it is 1048577 bytes long`,
    );
    await writeFile(join(folder, 'latin1'), Buffer.from('[general]\nstore_path = /caf\xe9\n', 'latin1'));
    assert.equal(
      (await refusal(load({ file: 'latin1' }))).message,
      `${folder}/latin1, line 2 holds bytes that are not UTF-8`,
    );
  });

  it('chooses the client', async () => {
    await write('autotorrent.conf', '[general]\nstore_path=/s\n[client-x]\nclient=none\n');
    assert.equal((await load()).client, undefined);
    assert.deepEqual((await load({ client: 'x' })).client, { client: 'none' });
    assert.match((await refusal(load({ client: 'y' }))).message, /no section \[client-y\]: it has x$/);
  });

  it('knows the accounts of this machine and the home folder', async () => {
    await write('autotorrent.conf', '[general]\nstore_path = ~/store\nowner = root\n');
    const config = await load();
    assert.deepEqual(config.owner, { uid: 0, gid: 0 });
    assert.equal(config.storePath, join(folder, 'home/store'));
  });

  describe('where the index goes', () => {
    beforeEach(() => write('autotorrent.conf', '[general]\nstore_path=/s\ndb=at.db\n'));

    it('to db, where nothing is there', async () => assert.deepEqual(await dbOf(), ['at.db', 0]));
    it('to db, where a folder is there, whatever lies beside it', async () => {
      await mkdir(join(folder, 'at.db'));
      await write('at.db.dat', '');
      assert.deepEqual(await dbOf(), ['at.db', 0]);
    });
    for (const suffix of ['', '.db', '.dat', '.dir', '.bak', '.pag']) {
      it(`beside the original's at.db${suffix}, with one notice`, async () => {
        await write(`at.db${suffix}`, 'shelve');
        assert.deepEqual(await dbOf(), ['at.db.level', 1]);
        assert.equal(await readFile(join(folder, `at.db${suffix}`), 'utf8'), 'shelve');
      });
    }
    it("beside a link to the original's", async () => {
      await write('elsewhere', '');
      await symlink('elsewhere', join(folder, 'at.db'));
      assert.deepEqual(await dbOf(), ['at.db.level', 1]);
    });
    it('to the same place after the original was deleted', async () => {
      await mkdir(join(folder, 'at.db.level'));
      assert.deepEqual(await dbOf(), ['at.db.level', 0]);
    });
  });
});

describe('createConfig', () => {
  it('writes an example that is valid, complete, and for its owner alone', async () => {
    const file = join(folder, 'new.conf');
    await createConfig(file);
    assert.equal((await stat(file)).mode & 0o777, 0o600);
    const config = await load({ file });
    assert.deepEqual(config.notices, []);
    assert.equal(config.storePath, join(folder, 'store'));
    assert.equal(config.client?.client, 'transmission');
    // Finds what other programs have renamed. Configurations without the line keep their default.
    assert.deepEqual(config.scanModes, ['unsplitable', 'normal', 'hash_size']);
  });

  it('never overwrites', async () => {
    const file = await write('there', 'mine');
    const error = await refusal(createConfig(file));
    assert.equal(error.message, `Target '${file}' already exists, not creating`);
    assert.equal(await readFile(file, 'utf8'), 'mine');
    const link = join(folder, 'dangling');
    await symlink('nowhere', link);
    assert.equal((await refusal(createConfig(link))).message, `Target '${link}' already exists, not creating`);
  });

  it('says why it cannot', async () => {
    const file = join(folder, 'gone', 'x.conf');
    assert.equal(
      (await refusal(createConfig(file))).message,
      `${file} cannot be created: there is no folder ${join(folder, 'gone')}`,
    );
  });

  it('writes what parses to the very defaults, once every comment that is a key is one', async () => {
    const file = join(folder, 'full.conf');
    await createConfig(file);
    const text = await readFile(file, 'utf8');
    const [generalPart = ''] = text.split('[disks]');
    const keys = [...generalPart.matchAll(/^#?([a-z_]+) =/gm)].map((match) => match[1]);
    // Of two lines for one key the second is the default.
    const uncommented = generalPart
      .replace(/^(?=scan_mode = )/m, '# ')
      .replaceAll(/^#([a-z_]+ =)/gm, '$1')
      .replaceAll(/^(ignore_files|path_map) = ./gm, '# $&');
    const options = { file, accounts: { passwd: 'rtorrent:x:1:1:::', group: 'rtorrent:x:1:' } };
    const all = parseConfig(uncommented, options);
    const none = parseConfig('[general]\nstore_path = store\n', options);
    assert.deepEqual(
      { ...all, owner: undefined, hashReaders: 0, statePath: '' },
      { ...none, owner: undefined, hashReaders: 0, statePath: '' },
    );
    assert.deepEqual(
      new Set(keys),
      new Set([
        'add_limit_percent',
        'add_limit_size',
        'allow_other',
        'db',
        'driver',
        'exact_target',
        'fast_resume',
        'hash_limit',
        'hash_readers',
        'hash_size_varying',
        'ignore_files',
        'link_type',
        'on_loss',
        'owner',
        'path_map',
        'recover',
        'repair_limit',
        'rescue_limit',
        'rescue_total',
        'protect',
        'protect_days',
        'verify_reads',
        'passthrough',
        'hold_sources',
        'scrub',
        'scrub_days',
        'settle',
        'show_links',
        'scan_mode',
        'state_path',
        'store_path',
        'umask',
        'verify',
      ]),
    );
  });
});

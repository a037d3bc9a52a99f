/**
 * The demonstration's data: a film, a scene release and an album as they were released, torrents of these, and the
 * collection of a user who has them in other folders, partly under other names, beside files that only look alike.
 */
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { makeTorrent } from './make-torrent.ts';

const MB = 1_000_000;

interface DemoFile {
  /** Path below the release's folder; for the film its name alone. */
  readonly path: string;
  readonly bytes: Buffer;
  /** Path in the collection. */
  readonly kept: string;
}

interface Release {
  readonly name: string;
  readonly files: readonly DemoFile[];
}

export interface DemoTorrent {
  /** Path of the .torrent. */
  readonly torrent: string;
  readonly raw: Buffer;
  readonly infoHash: string;
}

export interface Demo {
  /** The folder that goes under `[disks]`. */
  readonly collection: string;
  /** The folder of the .torrent files. */
  readonly folder: string;
  readonly torrents: readonly DemoTorrent[];
  /** Path below a client's download folder → SHA-1 of the file that must arrive there. */
  readonly expected: ReadonlyMap<string, string>;
  readonly bytes: number;
}

function releases(): Release[] {
  const film = 'The.Long.Winter.2019.1080p.BluRay.x264-DEMO.mkv';
  const scene = 'Harbour.Lights.S01E03.720p.HDTV.x264-DEMO';
  const stem = 'harbour.lights.s01e03.720p-demo';
  const album = 'Nine Lanterns - Paper Rivers (2004) [FLAC]';
  const volumes = ['rar', 'r00', 'r01', 'r02', 'r03'];
  return [
    {
      name: film,
      files: [
        {
          path: film,
          bytes: randomBytes(24 * MB + 77),
          kept: 'films/2019/the long winter 2019 1080p bluray x264-demo.mkv',
        },
      ],
    },
    {
      name: scene,
      files: [
        ...volumes.map((end, i) => ({ path: `${stem}.${end}`, bytes: randomBytes(i < 4 ? 3 * MB : 1_234_567) })),
        { path: `${stem}.sfv`, bytes: randomBytes(210) },
        { path: `${stem}.nfo`, bytes: randomBytes(4_321) },
        { path: `Sample/sample-${stem}.mkv`, bytes: randomBytes(2 * MB + 5) },
      ].map((file) => ({ ...file, kept: `tv/Harbour Lights/${scene}/${file.path}` })),
    },
    {
      name: album,
      files: [
        ...['Paper Rivers', 'Lantern Street', 'Tide Table', 'Köln, 4 a.m.'].map((title, i) => ({
          path: `0${i + 1} - ${title}.flac`,
          bytes: randomBytes(4 * MB + 1_111 * (i + 1)),
          kept: `music/Nine Lanterns/2004/0${i + 1}_-_${title}.flac`,
        })),
        { path: 'cover.jpg', bytes: randomBytes(51_200), kept: 'music/Nine Lanterns/2004/cover.jpg' },
      ],
    },
  ];
}

/** Files of the same name and size as wanted ones, with other bytes: an unfinished download, another release. */
const LOOKALIKES: readonly { readonly of: string; readonly at: string }[] = [
  { of: 'The.Long.Winter', at: 'incomplete/The.Long.Winter.2019.1080p.BluRay.x264-DEMO.mkv' },
  { of: '02 - Lantern Street', at: 'old backup/album/02 - Lantern Street.flac' },
  { of: 'cover.jpg', at: 'music/Somebody Else/1999/cover.jpg' },
];

/** Writes everything below `root` (32 MB and lookalikes); the torrents announce to `tracker`. */
export async function makeDemo(root: string, tracker: string): Promise<Demo> {
  const collection = join(root, 'collection');
  const torrents = join(root, 'torrents');
  const expected = new Map<string, string>();
  const made: DemoTorrent[] = [];
  let total = 0;
  await mkdir(torrents, { recursive: true });
  for (const release of releases()) {
    const single = release.files[0]?.path === release.name;
    for (const file of release.files) {
      await put(join(collection, file.kept), file.bytes);
      expected.set(single ? file.path : join(release.name, file.path), sha1(file.bytes));
      total += file.bytes.length;
      for (const { of, at } of LOOKALIKES) {
        if (file.path.startsWith(of)) await put(join(collection, at), lookalike(file.bytes));
      }
    }
    const [first] = release.files;
    const { raw, infoHash } = makeTorrent({
      name: release.name,
      content:
        single && first !== undefined
          ? first.bytes
          : release.files.map(({ path, bytes }) => ({ path: path.split('/'), data: bytes })),
      pieceLength: 256 * 1024,
      announce: tracker,
      private: true,
    });
    const torrent = join(torrents, `${release.name.replace(/\.mkv$/, '')}.torrent`);
    await writeFile(torrent, raw);
    made.push({ torrent, raw, infoHash });
  }
  return { collection, folder: torrents, torrents: made, expected, bytes: total };
}

async function put(path: string, bytes: Buffer): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, bytes);
}

/** Makes a stopped download: of full size, its second half zeros. */
function lookalike(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  return copy.fill(0, copy.length >> 1);
}

const sha1 = (bytes: Buffer): string => createHash('sha1').update(bytes).digest('hex');

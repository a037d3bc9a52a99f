/**
 * The kinds of releases in a collection, with real-world sizes: volumes of archives and files of discs share a few sizes;
 * video and music files have sizes of their own.
 */
import type { Random } from '../random.ts';
import { GROUPS, slug, title } from './names.ts';
import type { Release, ReleaseFile } from './release.ts';

const KIB = 2 ** 10;
const MIB = 2 ** 20;
const GIB = 2 ** 30;

interface Kind {
  /** Its frequency, relative to the others' weights. */
  readonly weight: number;
  readonly make: (random: Random) => Release[];
}

/** Chooses a kind by its weight, and makes one show, album, disc … of it: one release or several. */
export function someReleases(random: Random): Release[] {
  let left = random.fraction() * KINDS.reduce((sum, { weight }) => sum + weight, 0);
  const kind = KINDS.find(({ weight }) => (left -= weight) < 0) ?? KINDS[0];
  return kind?.make(random) ?? [];
}

/** Gives `first`, `first` + 1, … as text of at least `digits` digits. */
function numbered(count: number, digits: number, first = 1): string[] {
  return Array.from({ length: count }, (_, i) => (first + i).toString().padStart(digits, '0'));
}

/** Makes a set of RAR volumes of one size, but for the last, with its checksum file. */
function volumes(random: Random, stem: string, count: number, size: number): ReleaseFile[] {
  const extensions = ['rar', ...numbered(count - 1, 2, 0).map((number) => `r${number}`)];
  const files = extensions.map((extension, i) => ({
    path: `${stem}.${extension}`,
    size: i === count - 1 ? random.between(1000, size - 1) : size,
  }));
  return [...files, { path: `${stem}.sfv`, size: 32 + 27 * count }];
}

function episodesInVolumes(random: Random): Release[] {
  const show = title(random, random.between(1, 3), '.');
  const season = random.between(1, 12).toString().padStart(2, '0');
  const quality = random.pick(['720p.HDTV.x264', '1080p.WEB.H264', 'HDTV.XviD']);
  const group = random.pick(GROUPS);
  return numbered(random.pick([4, 8, 10, 13]), 2).map((episode) => {
    const name = `${show}.S${season}E${episode}.${quality}-${group}`;
    const stem = `${slug(random, 1, '')}.s${season}e${episode}-${group.toLowerCase()}`;
    // Half of all sets have the same volume size: a search by size alone meets thousands of candidates.
    const volume = random.pick([15_000_000, 20_000_000, 50_000_000, 50_000_000]);
    const files = [
      ...volumes(random, stem, random.between(12, 39), volume),
      { path: `${stem}.nfo`, size: random.pick([1337, 2048, random.between(900, 9000)]) },
      { path: `Sample/${stem}.sample.mkv`, size: random.between(3 * MIB, 30 * MIB) },
    ];
    if (random.chance(0.2)) {
      files.push(
        { path: `Subs/${stem}.subs.rar`, size: random.between(20_000, 90_000) },
        { path: `Subs/${stem}.subs.sfv`, size: 59 },
      );
    }
    return { kind: 'scene', parent: `tv/${show.replaceAll('.', ' ')}`, name, files };
  });
}

function filmOnTwoDiscs(random: Random): Release[] {
  const stem = slug(random, 2, '.');
  const name = `${title(random, 3, '.')}.${random.between(1990, 2019)}.DVDRip.XviD-${random.pick(GROUPS)}`;
  const discs = ['cd1', 'cd2'].flatMap((disc) =>
    volumes(random, `${stem}-${disc}`, 50, 15_000_000).map(({ path, size }) => ({
      path: `${disc.toUpperCase()}/${path}`,
      size,
    })),
  );
  const files = [...discs, { path: `${stem}.nfo`, size: random.between(900, 9000) }];
  return [{ kind: 'scene', parent: 'movies', name, files }];
}

function film(random: Random): Release[] {
  const name = `${title(random, 2, ' ')} (${random.between(1960, 2024)}) [1080p]`;
  const files = [
    { path: `${name}.mkv`, size: random.between(GIB, 12 * GIB) },
    { path: `${name}.srt`, size: random.between(20_000, 150_000) },
    { path: 'poster.jpg', size: 50 * KIB },
  ];
  return [{ kind: 'normal', parent: 'movies', name, files }];
}

/** Some series have one torrent an episode, and users rename some of these files; others have one torrent a season. */
function anime(random: Random): Release[] {
  const name = title(random, 2, ' ');
  const group = random.pick(['Clear', 'Harbour', 'Kite', 'NightOwl']);
  const count = random.pick([12, 13, 24, 26]);
  const episodes = numbered(count, 2).map((episode) => {
    const checksum = random.bytes(4).toString('hex').toUpperCase();
    const path = `[${group}] ${name} - ${episode} [${random.pick(['720p', '1080p'])}][${checksum}].mkv`;
    return { path, size: random.between(200 * MIB, 1400 * MIB) };
  });
  if (count === 13) {
    return episodes.map(({ path, size }): Release => {
      const own = random.chance(0.3) ? path.replaceAll(' ', '_') : path;
      return { kind: 'single', parent: `anime/${name}`, name: undefined, files: [{ path: own, size }] };
    });
  }
  const extras = [
    { path: 'NCOP.mkv', size: 90 * MIB },
    { path: 'Fonts/sans.ttf', size: 367_112 },
  ];
  return [{ kind: 'normal', parent: 'anime', name: `[${group}] ${name} [BD]`, files: [...episodes, ...extras] }];
}

function album(random: Random): Release[] {
  const [artist, name] = [title(random, 2, '_'), title(random, 2, '_')];
  const scene = random.chance(0.6);
  const stem = artist.toLowerCase();
  const tracks = numbered(random.between(8, 17), 2).map((track) => ({
    path: `${track}-${stem}-${slug(random, 2, '_')}.${scene ? 'mp3' : 'flac'}`,
    size: random.between(3 * MIB, 40 * MIB),
  }));
  const files = [
    ...tracks,
    { path: 'cover.jpg', size: random.pick([50 * KIB, 64 * KIB, random.between(20_000, 300_000)]) },
    { path: `00-${stem}.nfo`, size: random.pick([1337, 4096]) },
    { path: `00-${stem}.m3u`, size: 60 * tracks.length },
    ...(scene ? [{ path: `00-${stem}.sfv`, size: 50 * tracks.length }] : []),
  ];
  const folder = `${artist}-${name}-${random.between(1980, 2024)}-${random.pick(GROUPS)}`;
  return [{ kind: scene ? 'scene' : 'normal', parent: 'music', name: folder, files }];
}

/** Every Blu-ray disc has files of the same names, and many of the same sizes. */
function bluRay(random: Random): Release[] {
  const clips = numbered(random.between(10, 59), 5, 0).flatMap((clip, i) => [
    { path: `BDMV/STREAM/${clip}.m2ts`, size: 6144 * random.between(10, i === 0 ? 5_000_000 : 100_000) },
    { path: `BDMV/CLIPINF/${clip}.clpi`, size: random.pick([292, 344, 1024]) },
    { path: `BDMV/BACKUP/CLIPINF/${clip}.clpi`, size: 344 },
    { path: `BDMV/PLAYLIST/${clip}.mpls`, size: random.pick([262, 300, 512]) },
  ]);
  const files = [
    { path: 'BDMV/index.bdmv', size: 128 },
    { path: 'BDMV/MovieObject.bdmv', size: 1234 },
    { path: 'BDMV/BACKUP/index.bdmv', size: 128 },
    { path: 'BDMV/BACKUP/MovieObject.bdmv', size: 1234 },
    { path: 'CERTIFICATE/id.bdmv', size: 104 },
    ...clips,
  ];
  const name = `${title(random, 2, '.')}.${random.between(2006, 2024)}.COMPLETE.BLURAY-${random.pick(GROUPS)}`;
  return [{ kind: 'scene', parent: 'disc', name, files }];
}

/** The parts of a title are cut at just under 1 GiB. */
const FULL_VOB = 1_073_709_056;
const SECTOR = 2048;

function dvd(random: Random): Release[] {
  const titles = numbered(random.between(2, 6), 2).flatMap((number) => {
    const info = SECTOR * random.between(8, 59);
    const parts = random.between(1, 6);
    return [
      { path: `VIDEO_TS/VTS_${number}_0.IFO`, size: info },
      { path: `VIDEO_TS/VTS_${number}_0.BUP`, size: info },
      ...numbered(parts, 1).map((part, i) => ({
        path: `VIDEO_TS/VTS_${number}_${part}.VOB`,
        size: i < parts - 1 ? FULL_VOB : SECTOR * random.between(1000, 500_000),
      })),
    ];
  });
  const files = [
    { path: 'VIDEO_TS/VIDEO_TS.IFO', size: 12_288 },
    { path: 'VIDEO_TS/VIDEO_TS.BUP', size: 12_288 },
    { path: 'VIDEO_TS/VIDEO_TS.VOB', size: SECTOR * random.between(10, 5000) },
    ...titles,
  ];
  const name = `${title(random, 2, ' ')} ${random.between(1996, 2011)} PAL DVD`;
  return [{ kind: 'scene', parent: 'disc', name, files }];
}

/** Books, pictures and archives: small, some empty, many of one size. */
function documents(random: Random): Release[] {
  const files = numbered(random.between(3, 59), 1).map((number) => ({
    path: `${random.pick(['a', 'b', 'c', 'd', 'e'])}/${slug(random, 2, '-')}${number}.${random.pick(['epub', 'jpg', 'pdf', 'txt', 'zip'])}`,
    size: random.pick([0, 1, 512, 4096, 4096, random.between(1, 5 * MIB)]),
  }));
  return [{ kind: 'normal', parent: 'misc', name: `${title(random, 1, '')}-${random.between(0, 2 ** 24)}`, files }];
}

const KINDS: readonly Kind[] = [
  { weight: 6, make: episodesInVolumes },
  { weight: 6, make: anime },
  { weight: 14, make: album },
  { weight: 8, make: film },
  { weight: 2, make: filmOnTwoDiscs },
  { weight: 2, make: bluRay },
  { weight: 2, make: dvd },
  { weight: 5, make: documents },
];

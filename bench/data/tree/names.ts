/** Invented titles and groups, some of them outside ASCII. */
import type { Random } from '../random.ts';

const PLAIN = [
  'amber anchor arrow autumn beacon bridge canyon castle cedar circle clover cobalt comet crystal desert',
  'dragon dust eagle engine fable feather fjord forest galaxy glacier hammer honey hunter island ivory',
  'journey jungle kingdom ladder lagoon lemon machine magnet maple midnight mirror monsoon nebula ocean olive',
  'opal paradise pepper pilot planet quiet rocket rust saffron sailor scarlet shelter silver spiral summer',
  'temple tiger tower tundra valley voyage',
].flatMap((line) => line.split(' '));
const OTHER_SCRIPTS = [
  'Élan',
  'Größe',
  'Smörgås',
  'piñata',
  'Čas',
  'Ελλάδα',
  'Весна',
  '春の海',
  '銀河',
  '서울',
  'ｆｕｌｌ',
];
const OTHER_SHARE = 0.04;
export const GROUPS = [
  'ALPHA',
  'BRAVO',
  'CiNDER',
  'DELTA7',
  'EPSiLON',
  'FoX',
  'GiZMO',
  'HALO',
  'iSLE',
  'JADE',
] as const;

/** Capitalised words. */
export function title(random: Random, words: number, separator: string): string {
  const chosen = Array.from({ length: words }, () => {
    const word = random.pick(PLAIN);
    return word.charAt(0).toUpperCase() + word.slice(1);
  });
  if (random.chance(OTHER_SHARE)) chosen[0] = random.pick(OTHER_SCRIPTS);
  return chosen.join(separator);
}

/** Lower-case words of ASCII alone. */
export function slug(random: Random, words: number, separator: string): string {
  return Array.from({ length: words }, () => random.pick(PLAIN)).join(separator);
}

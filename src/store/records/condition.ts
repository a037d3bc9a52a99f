/** The records of a source's condition (`source/condition.ts`) and of its story. */
import type { Condition, ConditionState } from '../../source/condition.ts';
import { damaged, Reader, readIdentity, Writer, writeIdentity } from './record.ts';

const STATES: readonly ConditionState[] = ['doubted', 'healing', 'waiting', 'lost'];
/** Added to the state: a disk or an observed file follows. */
const HAS_DISK = 8;
const HAS_OBSERVED = 16;
const UNPROVEN = 32;
const FAILED = 64;
const OPENED = 128;
/** How older versions said it: by the reason alone. */
const FAILED_IN_WORDS = /^does not have the bytes of piece/;

export function encodeCondition(condition: Condition): Buffer {
  const { state, epoch, sinceMs, reason, disk, observed, unproven, failed, opened } = condition;
  const flags =
    (disk === undefined ? 0 : HAS_DISK) |
    (observed === undefined ? 0 : HAS_OBSERVED) |
    (unproven === undefined ? 0 : UNPROVEN) |
    (failed === undefined ? 0 : FAILED) |
    (opened === undefined ? 0 : OPENED);
  const out = new Writer().integer(STATES.indexOf(state) | flags).integer(epoch);
  out.integer(Math.max(0, Math.trunc(sinceMs))).text(reason);
  if (disk !== undefined) out.text(disk);
  if (observed !== undefined) writeIdentity(out, observed);
  return out.finish();
}

export function decodeCondition(bytes: Buffer): Condition {
  const from = new Reader(bytes);
  const flags = from.integer();
  const state = STATES[flags & ~(HAS_DISK | HAS_OBSERVED | UNPROVEN | FAILED | OPENED)];
  if (state === undefined) throw damaged('a source has a condition that does not exist');
  const [epoch, sinceMs, reason] = [from.integer(), from.integer(), from.text()];
  const disk = (flags & HAS_DISK) === 0 ? {} : { disk: from.text() };
  const observed = (flags & HAS_OBSERVED) === 0 ? {} : { observed: readIdentity(from) };
  const unproven = (flags & UNPROVEN) === 0 ? {} : ({ unproven: true } as const);
  const hasFailed = (flags & FAILED) !== 0 || (state === 'healing' && FAILED_IN_WORDS.test(reason));
  const failed = hasFailed ? ({ failed: true } as const) : {};
  const opened = (flags & OPENED) === 0 ? {} : ({ opened: true } as const);
  return { state, epoch, sinceMs, reason, ...disk, ...observed, ...unproven, ...failed, ...opened };
}

/** One change of a source: when, from which path to which, and how that was found out. */
export interface StoryLine {
  readonly atMs: number;
  readonly from: Buffer;
  readonly to: Buffer;
  readonly how: string;
}

export function encodeStory(lines: readonly StoryLine[]): Buffer {
  const out = new Writer();
  for (const { atMs, from, to, how } of lines) out.integer(Math.trunc(atMs)).bytes(from).bytes(to).text(how);
  return out.finish();
}

export function decodeStory(bytes: Buffer): StoryLine[] {
  const from = new Reader(bytes);
  const lines: StoryLine[] = [];
  while (!from.done) lines.push({ atMs: from.integer(), from: from.bytes(), to: from.bytes(), how: from.text() });
  return lines;
}

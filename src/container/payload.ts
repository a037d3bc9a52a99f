/**
 * Finds where the audio or video data of a file begins and ends, by the structure of its container.
 *
 * Copies of one recording often differ around that data: in tags, padding, pictures, an index before or after it. The data
 * has then moved by a length that is neither 0 nor the difference in size. Nobody knows what surrounds it in the wanted
 * file, but what surrounds it in a candidate says which shifts are worth hashing one piece for.
 */

import { describeAudio } from './audio-tags.ts';
import type { HeaderReader } from './container.ts';
import { describeMatroska } from './matroska.ts';
import { describeMp4 } from './mp4.ts';
import { type Payload, sum } from './payload-shape.ts';
import { describeRiff } from './riff.ts';

/** The most shifts that are suggested: testing each costs hashing one piece. */
const MAX_HYPOTHESES = 16;

/** Describes a file, of which it reads a few KiB at both ends and each element's header. Undefined for an unknown kind. */
export function describePayload(reader: HeaderReader): Payload | undefined {
  const found = describeRiff(reader) ?? describeMp4(reader) ?? describeMatroska(reader) ?? describeAudio(reader);
  return found !== undefined && found.start < found.end && found.end <= found.size ? found : undefined;
}

/**
 * Lists shifts worth testing, the likeliest first: byte `n` of the wanted file may be byte `n + shift` of the candidate. It
 * leaves out shift 0 (equal heads) and the difference in size (equal tails), which are tried anyway. In this order, the
 * shifts stand for a wanted file
 * 1. with nothing before the data that can be left out (no tag, a bare header);
 * 2. with nothing after the data (the wanted file's own head may be of any length);
 * 3. with the usual parts after the data: an ID3v1 tag, or the `moov` that the candidate has before it;
 * 4. that lacks one of the parts before the data, or all but one of them;
 * 5. that lacks one of the parts after the data, or all but one of them;
 * 6. whose data begins at the conventional offset, or with the parts before it and after it exchanged.
 */
export function shiftHypotheses(candidate: Payload, wantedLength: number): number[] {
  const { size, start, end, head, tail, otherStarts, otherTails } = candidate;
  const allHead = sum(head);
  const allTail = sum(tail);
  const fromEnd = (behind: number): number => end + behind - wantedLength;
  const shifts = [
    allHead,
    fromEnd(0),
    ...otherTails.map(fromEnd),
    ...head.flatMap((part) => [part, allHead - part]),
    ...tail.flatMap((part) => [fromEnd(allTail - part), fromEnd(part)]),
    ...otherStarts.map((other) => start - other),
  ];
  const usual = new Set([0, size - wantedLength]);
  // A shift at which the two do not overlap tests nothing.
  const possible = shifts.filter((shift) => !usual.has(shift) && shift < size && shift > -wantedLength);
  return [...new Set(possible)].slice(0, MAX_HYPOTHESES);
}

/**
 * Where the audio or video data of a file begins and ends, by its container's own structure.
 *
 * Copies of one recording often differ in what lies around that data: tags, padding, pictures, an index in front or
 * behind. The data then has moved by a length that is neither 0 nor the difference in size. What the wanted file has
 * around it nobody knows; what a candidate has says which shifts are worth one piece's hashing.
 */

import { describeAudio } from './audio-tags.ts';
import type { HeaderReader } from './container.ts';
import { describeMatroska } from './matroska.ts';
import { describeMp4 } from './mp4.ts';
import { type Payload, sum } from './payload-shape.ts';
import { describeRiff } from './riff.ts';

/** As many shifts as are worth a piece. */
const MAX_HYPOTHESES = 16;

/** Undefined where the file is of no kind that we know. Reads a few KiB at both ends, and a header an element. */
export function describePayload(reader: HeaderReader): Payload | undefined {
  const found = describeRiff(reader) ?? describeMp4(reader) ?? describeMatroska(reader) ?? describeAudio(reader);
  return found !== undefined && found.start < found.end && found.end <= found.size ? found : undefined;
}

/**
 * Shifts worth testing, the likeliest first: byte `n` of the wanted file may be byte `n + shift` of the candidate. Shift 0
 * (equal heads) and the difference in size (equal tails), which are tried anyway, are not among them. They stand for, in
 * this order, a wanted file
 * 1. with nothing before the data that can be left out (no tag, a bare header);
 * 2. with nothing behind the data (the wanted file's own head may be of any length);
 * 3. with behind the data what others have there: an ID3v1 tag, or the `moov` that the candidate has in front;
 * 4. that lacks one of the parts before the data, or all but one of them;
 * 5. that lacks one of the parts behind the data, or all but one of them;
 * 6. whose data begins where it does by convention, or with the parts before it and behind it exchanged.
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

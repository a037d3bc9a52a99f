import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { HeaderReader } from '../../src/container/container.ts';
import { describePayload, shiftHypotheses } from '../../src/container/payload.ts';
import { shiftsOfFile } from '../../src/container/payload-files.ts';
import type { Payload } from '../../src/container/payload-shape.ts';
import { anywhere } from '../harness/anywhere.ts';
import { MemoryVolumes } from './memory-volumes.ts';

const made = (name: string): Buffer => readFileSync(join('test/fixtures/media', name));
const NAMES = [
  'bare.mp3',
  'tagged.mp3',
  'bare.flac',
  'padded.flac',
  'moov-behind.mp4',
  'moov-in-front.mp4',
  'ffmpeg.mkv',
  'mkvmerge.mkv',
  'ffmpeg.avi',
  'ffmpeg.wav',
];

function payloadOf(file: Buffer): Payload | undefined {
  return describePayload(new HeaderReader(new MemoryVolumes([file]), 0));
}

/** The candidate's data lies in the wanted file, and one of the hypotheses (or of the usual two) says how far it moved. */
function assertFound(candidate: Buffer, wanted: Buffer, expected: 'hypothesis' | 'usual' = 'hypothesis'): void {
  const payload = payloadOf(candidate);
  assert.ok(payload !== undefined);
  const place = wanted.indexOf(candidate.subarray(payload.start + 4, payload.end - 4));
  assert.notEqual(place, -1, 'the data is the same');
  const shift = payload.start + 4 - place;
  const usual = [0, candidate.length - wanted.length].includes(shift);
  assert.equal(usual ? 'usual' : 'hypothesis', expected);
  if (!usual) assert.ok(shiftHypotheses(payload, wanted.length).includes(shift), `${shift} is among the hypotheses`);
}

const id3v1 = Buffer.concat([Buffer.from('TAG'), Buffer.alloc(125, 0x20)]);

function id3v2(length: number, footer = false): Buffer {
  const tag = Buffer.alloc(10 + length + (footer ? 10 : 0));
  tag.write('ID3\u0004\u0000', 'latin1');
  tag[5] = footer ? 0x10 : 0;
  for (let i = 0; i < 4; i++) tag[9 - i] = (length >>> (7 * i)) & 0x7f;
  if (footer) {
    tag.copy(tag, 10 + length, 0, 10);
    tag.write('3DI', 10 + length, 'latin1');
  }
  return tag;
}

function ape(length: number, header: boolean): Buffer {
  const block = (flags: number): Buffer => {
    const bytes = Buffer.alloc(32);
    bytes.write('APETAGEX', 'latin1');
    bytes.writeUInt32LE(2000, 8);
    bytes.writeUInt32LE(length + 32, 12);
    bytes.writeUInt32LE(flags, 20);
    return bytes;
  };
  const flags = header ? 0x80000000 : 0;
  return Buffer.concat([header ? block(0xa0000000) : Buffer.alloc(0), Buffer.alloc(length), block(flags)]);
}

function lyrics(length: number): Buffer {
  const text = `LYRICSBEGIN${'x'.repeat(length)}`;
  return Buffer.from(`${text}${String(text.length).padStart(6, '0')}LYRICS200`);
}

describe('the payload of a file', () => {
  it('is found in what real programs write', () => {
    const places = NAMES.map((name) => {
      const { start, end } = payloadOf(made(name)) ?? { start: -1, end: -1 };
      return [name, start, end];
    });
    assert.deepEqual(places, [
      ['bare.mp3', 0, 1728],
      ['tagged.mp3', 320, 2048],
      ['bare.flac', 108, 472],
      ['padded.flac', 224, 831],
      ['moov-behind.mp4', 44, 798],
      ['moov-in-front.mp4', 917, 1671],
      ['ffmpeg.mkv', 722, 1522],
      ['mkvmerge.mkv', 5508, 6358],
      ['ffmpeg.avi', 5802, 6638],
      ['ffmpeg.wav', 78, 2478],
    ]);
    // These are what the formats say begins the data.
    assert.equal(made('bare.flac').readUInt16BE(108) >>> 2, 0x3ffe);
    assert.equal(made('tagged.mp3').readUInt16BE(320) >>> 5, 0x7ff);
    for (const [name, at] of [
      ['moov-behind.mp4', 40],
      ['moov-in-front.mp4', 913],
    ] as const) {
      assert.equal(made(name).toString('latin1', at, at + 4), 'mdat');
    }
    for (const [name, at] of [
      ['ffmpeg.mkv', 722],
      ['mkvmerge.mkv', 5508],
    ] as const) {
      assert.equal(made(name).readUInt32BE(at), 0x1f43b675);
    }
    assert.equal(made('ffmpeg.avi').toString('latin1', 5798, 5802), 'movi');
    assert.equal(made('ffmpeg.wav').toString('latin1', 70, 74), 'data');
  });

  it('lies between tags of every kind, several in a row', () => {
    const audio = made('bare.mp3');
    const front = [id3v2(200), id3v2(33, true), ape(50, true)];
    const behind = [id3v2(40, true), ape(100, true), lyrics(60), id3v1];
    const payload = payloadOf(Buffer.concat([...front, audio, ...behind]));
    assert.deepEqual(payload?.head, [210, 53, 114]);
    assert.equal(payload?.start, 377);
    assert.equal(payload?.end, 377 + audio.length);
    assert.deepEqual(payload?.tail.length, 4);
    const text = Buffer.from(`LYRICSBEGIN${'y'.repeat(500)}LYRICSEND`);
    assert.deepEqual(payloadOf(Buffer.concat([audio, ape(10, false), text, id3v1]))?.tail, [42, 520, 128]);
  });

  it('is of no kind that we know', () => {
    for (const bytes of [
      Buffer.alloc(0),
      Buffer.from('x'),
      Buffer.alloc(10_000, 'text '),
      Buffer.from('RIFF....WAVE'),
    ]) {
      assert.equal(payloadOf(bytes), undefined);
    }
  });

  it('is found with a few KiB read', () => {
    for (const name of NAMES) {
      const memory = new MemoryVolumes([made(name)]);
      describePayload(new HeaderReader(memory, 0));
      assert.ok(memory.reads <= 12, `${name}: ${memory.reads}`);
    }
  });

  it('stays within bounds whatever the headers say', () => {
    const damages = fc.array(fc.record({ at: fc.nat(700), byte: fc.nat(255) }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(fc.constantFrom(...NAMES), damages, fc.nat(8000), fc.boolean(), (name, list, length, cut) => {
        const file = cut ? made(name).subarray(0, length) : made(name);
        for (const { at, byte } of list) if (at < file.length) file[at] = byte;
        const memory = new MemoryVolumes([file]);
        const payload = describePayload(new HeaderReader(memory, 0));
        assert.ok(memory.reads < 2100);
        if (payload === undefined) return;
        assert.ok(payload.start >= 0 && payload.start < payload.end && payload.end <= file.length);
        for (const shift of shiftHypotheses(payload, length)) assert.ok(Number.isSafeInteger(shift));
      }),
      { numRuns: 2000 },
    );
  });
});

describe('shift hypotheses', () => {
  const bare = made('bare.mp3');
  const tagged = made('tagged.mp3');

  it('find audio that tags moved', () => {
    assertFound(tagged, bare);
    assertFound(bare, tagged); // an ID3v2 tag of unknown length in front, but an ID3v1 of 128 bytes at the end
    assertFound(Buffer.concat([id3v2(500), tagged]), tagged, 'usual');
    assertFound(Buffer.concat([id3v2(500), tagged.subarray(0, -128)]), Buffer.concat([bare, id3v1]));
    // The wanted file has a tag of unknown length in front and nothing at the end.
    assertFound(Buffer.concat([bare, ape(77, true)]), Buffer.concat([id3v2(999), bare]));
    // It has one of the two tags in front, and another tail.
    assertFound(Buffer.concat([id3v2(100), id3v2(321), bare]), Buffer.concat([id3v2(321), bare, lyrics(10)]));
    // It lacks one of the tags at the end.
    assertFound(Buffer.concat([bare, ape(77, true), id3v1]), Buffer.concat([id3v2(5), bare, ape(77, true)]));
  });

  it('find FLAC frames behind other metadata', () => {
    const padded = made('padded.flac');
    const audio = padded.subarray(224);
    const without = Buffer.concat([padded.subarray(0, 42), audio]);
    assertFound(padded, without, 'usual');
    assertFound(Buffer.concat([padded, id3v1]), without);
    assertFound(Buffer.concat([id3v2(60), padded]), Buffer.concat([without, id3v1]));
    assertFound(padded, Buffer.concat([padded.subarray(0, 120), audio, id3v1]));
  });

  it('find the data of an MP4 whose index moved', () => {
    assertFound(made('moov-in-front.mp4'), made('moov-behind.mp4'));
    assertFound(made('moov-behind.mp4'), made('moov-in-front.mp4'));
  });

  it('find the data of a WAVE behind a bare header', () => {
    const wave = made('ffmpeg.wav');
    const list = wave.subarray(36, 70);
    const wanted = Buffer.concat([wave.subarray(0, 36), wave.subarray(70), list]);
    assertFound(wave, wanted);
    assertFound(wanted, wave);
  });

  it('find the frames of an AVI without its padding, and the clusters of a Matroska without its tags', () => {
    const avi = made('ffmpeg.avi');
    const junk = avi.lastIndexOf('JUNK', 5798);
    const length = 8 + avi.readUInt32LE(junk + 4);
    assertFound(avi, Buffer.concat([avi.subarray(0, junk), avi.subarray(junk + length), Buffer.alloc(50)]));
    const mkv = made('ffmpeg.mkv');
    const [, voided = 0] = payloadOf(mkv)?.head ?? [];
    assertFound(mkv, Buffer.concat([mkv.subarray(0, 100), mkv.subarray(100 + voided), Buffer.alloc(9)]));
  });

  it('are few, and never the two that are tried anyway', () => {
    for (const name of NAMES) {
      const file = made(name);
      const payload = payloadOf(file);
      for (const wanted of [1, 100, file.length - 50, file.length, file.length + 1000]) {
        const shifts = payload === undefined ? [] : shiftHypotheses(payload, wanted);
        assert.ok(shifts.length <= 16 && new Set(shifts).size === shifts.length);
        for (const shift of shifts) {
          assert.ok(shift !== 0 && shift !== file.length - wanted && shift < file.length && shift > -wanted);
        }
      }
    }
  });

  it('are asked of a file on a disk', () => {
    const path = Buffer.from(resolve('test/fixtures/media', 'tagged.mp3'));
    assert.ok(shiftsOfFile({ path, size: tagged.length }, bare.length, anywhere()).includes(320));
    assert.deepEqual(shiftsOfFile({ path: Buffer.from('/nowhere'), size: 100 }, 100, anywhere()), []);
    assert.deepEqual(shiftsOfFile({ path: Buffer.from('/'), size: 100 }, 100, anywhere()), []);
  });
});

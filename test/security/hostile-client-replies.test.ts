/**
 * Whoever answers in a client's place floods autotorrent: with replies of the largest size, filled with the smallest
 * values, with deep nesting, endless texts and numbers, byte by byte, compressed. Every protocol meets the same list.
 * The call ends with an error within its time limit, the process stays responsive, and its memory within bounds.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import type { AutotorrentError } from '../../src/errors.ts';
import { type Encoding, HOSTILE_PROTOCOLS, type HostileAnswer } from '../harness/hostile-client.ts';

/** Bytes of a reply. The most that any may have is 256 MiB, which takes minutes for all protocols. */
const LARGEST = Number(process.env['REPLY_MIB'] ?? 12) * 1024 * 1024 - 4096;
const LIMIT_MS = 10_000;
/** What a busy machine may need beyond that. */
const PATIENCE_MS = 10_000;
/** Some 50 ms was measured; the machines that run the tests have other work, too. */
const LONGEST_BLOCK_MS = 1000;
/** With the reply itself. */
const MOST_MEMORY = 500 * 1024 * 1024;

type Values = Readonly<Record<Encoding, () => Buffer>>;

const repeat = (text: string): Buffer => Buffer.alloc(LARGEST, text);
/** Whole items between `start` and `end`. */
function filled(start: string, item: string, end: string): Buffer {
  const room = LARGEST - start.length - end.length;
  const items = Buffer.alloc(room - (room % item.length), item);
  return Buffer.concat([Buffer.from(start), items, Buffer.from(end)]);
}
const array = (inner: (start: string, end: string) => Buffer): Buffer =>
  inner('<value><array><data>', '</data></array></value>');
const XML_EMPTY = '<value><array><data/></array></value>';

const FLOODS: readonly (readonly [string, RegExp, Values])[] = [
  [
    'empty lists',
    /more than \d+ (?:lists|values)/,
    {
      json: () => filled('[', '[],', '[]]'),
      xml: () => array((start, end) => filled(start, XML_EMPTY, end)),
      // 59 and 127: a list and its end; 192: an empty list.
      rencode: () => filled(';', '\x00', '\x7f').map((byte) => (byte === 0 ? 192 : byte)) as Buffer,
    },
  ],
  [
    'empty objects',
    /more than \d+ (?:lists|values)/,
    {
      json: () => filled('[', '{},', '{}]'),
      xml: () => array((start, end) => filled(start, '<value><struct></struct></value>', end)),
      rencode: () => filled(';', 'f', '\x7f'),
    },
  ],
  [
    'small numbers',
    /answered with/,
    {
      json: () => filled('[', '0,', '0]'),
      xml: () => array((start, end) => filled(start, '<value><i4>0</i4></value>', end)),
      rencode: () => filled(';', '\x00', '\x7f'),
    },
  ],
  [
    'small texts',
    /answered with/,
    {
      json: () => filled('[', '"abc",', '""]'),
      xml: () => array((start, end) => filled(start, '<value>a</value>', end)),
      rencode: () => filled(';', '3:abc', '\x7f'),
    },
  ],
  [
    'lists in lists',
    /nested deeper/,
    { json: () => repeat('['), xml: () => repeat('<value><array><data>'), rencode: () => repeat(';') },
  ],
  [
    'objects in objects',
    /nested deeper/,
    {
      json: () => repeat('{"a":'),
      xml: () => repeat('<value><struct><member><name>a</name>'),
      // 60 begins a dictionary.
      rencode: () => repeat('<1:a'),
    },
  ],
  [
    'many keys',
    /answered with/,
    {
      json: () => manyKeys((i) => `"${i.toString(36)}":0,`, '{', '"":0}'),
      xml: () =>
        manyKeys(
          (i) => `<member><name>${i.toString(36)}</name><value/></member>`,
          '<value><struct>',
          '</struct></value>',
        ),
      rencode: () => manyKeys((i) => `${i.toString(36).length}:${i.toString(36)}E`, '<', '\x7f'),
    },
  ],
  [
    'one text',
    /a text of more than/,
    {
      json: () => filled('"', 'a', '"'),
      xml: () => filled('<value>', 'a', '</value>'),
      rencode: () => Buffer.concat([Buffer.from(`${LARGEST - 20}:`), Buffer.alloc(LARGEST - 20, 'a')]),
    },
  ],
  [
    'one number',
    /answered/,
    {
      json: () => filled('1', '7', ''),
      xml: () => filled('<value><i8>', '7', '</i8></value>').subarray(0, LARGEST),
      rencode: () => filled('=', '7', '\x7f'),
    },
  ],
  [
    'blanks',
    /answered/,
    {
      json: () => filled('[', ' ', ']'),
      xml: () => filled('<value><array><data>', ' ', '</data></array></value>'),
      rencode: () => filled(' ', ' ', ' '),
    },
  ],
  [
    'a prototype in a key',
    /broken|not the protocol|list|text|answered/,
    {
      json: () => Buffer.from('{"__proto__":{"polluted":true}}'),
      xml: () =>
        Buffer.from('<value><struct><member><name>__proto__</name><value><struct/></value></member></struct></value>'),
      rencode: () => Buffer.from('<9:__proto__<8:pollutedC\x7f\x7f', 'latin1'),
    },
  ],
];

function manyKeys(item: (i: number) => string, start: string, end: string): Buffer {
  const items: string[] = [];
  let size = start.length + end.length;
  for (let i = 0; size < LARGEST / 4; i += 1) {
    const text = item(i);
    items.push(text);
    size += text.length;
  }
  return Buffer.from(`${start}${items.join('')}${end}`);
}

/** Of XML alone. */
const XML_TRICKS: readonly (readonly [string, string])[] = [
  ['an entity of its own', '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]><value>&b;</value>'],
  ['an entity from a file', '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><value>&a;</value>'],
  ['an entity without a declaration', '<value>&passwd;</value>'],
  ['a character that is none', '<value>&#xffffff;</value>'],
  ['many attributes', `<value ${'a="b" '.repeat(1_000_000)}>x</value>`],
  ['a tag without an end', `<value ${'a'.repeat(1_000_000)}`],
  ['a comment without an end', `<!--${'a'.repeat(1_000_000)}`],
  ['a date', '<value><dateTime.iso8601>99999999999999999999</dateTime.iso8601></value>'],
];

/** Runs `work`, and gives the longest time for which nothing else could run, and how much memory it took at most. */
async function watched(work: () => Promise<void>): Promise<{ blockedMs: number; memory: number; tookMs: number }> {
  const used = (): number => {
    const { heapTotal, external } = process.memoryUsage();
    return heapTotal + external;
  };
  const before = used();
  const start = performance.now();
  let last = start;
  let blockedMs = 0;
  let memory = 0;
  const timer = setInterval(() => {
    const now = performance.now();
    blockedMs = Math.max(blockedMs, now - last - 5);
    last = now;
    memory = Math.max(memory, used() - before);
  }, 5);
  try {
    await work();
  } finally {
    clearInterval(timer);
  }
  blockedMs = Math.max(blockedMs, performance.now() - last - 5);
  return { blockedMs, memory, tookMs: performance.now() - start };
}

for (const protocol of HOSTILE_PROTOCOLS) {
  describe(`${protocol.name}, answered by an attacker`, () => {
    const refuses = async (
      answer: HostileAnswer,
      message: RegExp,
      { limitMs = LIMIT_MS, call = 'list' }: { limitMs?: number; call?: 'list' | 'describe' } = {},
    ): Promise<void> => {
      const server = await protocol.start(answer, { timeoutMs: limitMs });
      try {
        const seen = await watched(async () => {
          await assert.rejects(server.client[call](), (error: AutotorrentError) => {
            assert.equal(error.code, 'CLIENT', error.stack);
            // On a machine with other work to do, the time limit may end it first.
            assert.match(
              error.message,
              call === 'list' ? new RegExp(`${message.source}|did not answer within`) : message,
            );
            assert.ok(error.message.length < 400);
            return true;
          });
        });
        if (process.env['SHOW_MEASURES'] !== undefined) {
          console.log(
            `${protocol.name}: ${Math.round(seen.tookMs)} ms, blocked ${Math.round(seen.blockedMs)} ms, ${seen.memory >> 20} MiB`,
          );
        }
        assert.ok(seen.tookMs < limitMs + PATIENCE_MS, `it took ${seen.tookMs} ms`);
        assert.ok(seen.blockedMs < LONGEST_BLOCK_MS, `nothing else ran for ${seen.blockedMs} ms`);
        assert.ok(seen.memory < MOST_MEMORY, `it took ${seen.memory >> 20} MiB`);
      } finally {
        await server.close();
      }
    };

    for (const [name, message, values] of FLOODS) {
      it(`is not harmed by ${name}, where a list of torrents may be long`, async () => {
        await refuses({ value: values[protocol.encoding]() }, message);
        assert.equal(Object.hasOwn(Object.prototype, 'polluted'), false);
        assert.equal((Object.create(Object.prototype) as Record<string, unknown>)['polluted'], undefined);
      });
    }

    it('reads but a few KiB where a version is asked for', async () => {
      await refuses({ value: filled('"', 'a', '"') }, /answered with more than 1048576 bytes|not the protocol/, {
        call: 'describe',
      });
    });

    it('is not kept waiting by an answer that trickles', async () => {
      // Deluge's protocol compresses what it sends.
      const value = randomBytes(1000);
      await refuses({ value, sent: 'trickle' }, /did not answer within 0\.5 s/, { limitMs: 500 });
    });

    it('is not filled up by an answer in crumbs without an end', async () => {
      await refuses({ value: Buffer.from(' '), sent: 'crumbs' }, /did not answer within|answered/, {
        limitMs: 1000,
      });
    });

    it('drops an answer that comes too late', async () => {
      await refuses({ value: Buffer.from('[]'), after: 400 }, /did not answer within 0\.2 s/, { limitMs: 200 });
    });

    if (protocol.carriedBy !== 'tls') {
      it('reads no header without an end', async () => {
        const header = `x-padding: ${'a'.repeat(100)}\r\n`.repeat(2000);
        await refuses({ value: Buffer.from('[]'), header }, /more than|not HTTP|not SCGI|closed the connection/);
      });
    }

    if (protocol.carriedBy === 'http') {
      it('takes nothing compressed', async () => {
        const value = gzipSync(Buffer.alloc(LARGEST, 0x20));
        await refuses({ value, header: 'content-encoding: gzip\r\n' }, /in a compressed form/);
      });
    }

    if (protocol.encoding === 'xml') {
      for (const [name, value] of XML_TRICKS) {
        it(`refuses ${name}`, async () => {
          await refuses({ value: Buffer.from(value) }, /broken or cut off|something else than the list/);
        });
      }
    }
  });
}

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { atOnce } from '../../../src/clients/wire/slices.ts';
import { encodeCall, replySteps, XmlRpcFault, type XmlRpcParam } from '../../../src/clients/wire/xml-rpc.ts';

const decode = (xml: string): unknown => atOnce(replySteps(Buffer.from(xml), { bytes: 1e9, values: 1e5, lists: 1e5 }));
const reply = (value: string): string =>
  `<?xml version="1.0" encoding="UTF-8"?>\r\n<methodResponse>\r\n<params>\r\n<param>${value}</param>\r\n</params>\r\n</methodResponse>\r\n`;

/** Text that XML can carry. */
const text = fc
  .string({ unit: 'grapheme', maxLength: 40 })
  .map((value) => value.replaceAll(/[\p{Cc}\p{Cs}\ufffe\uffff]/gu, ''));
const { tree } = fc.letrec<{ tree: XmlRpcParam }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 4 },
    text,
    fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
    fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
    fc.array(tie('tree'), { maxLength: 5 }),
    fc.dictionary(
      text.filter((name) => name !== '__proto__'),
      tie('tree'),
      { maxKeys: 5, noNullPrototype: true },
    ),
  ),
}));

test("Python's XML-RPC reads our calls, and we read its replies", () => {
  const all = fc.sample(tree, 200);
  const script = `import sys, json, xmlrpc.client as x
for line in json.load(sys.stdin):
    params, method = x.loads(line)
    print(json.dumps(x.dumps(params, methodresponse=True)))`;
  const calls = all.map((value) => encodeCall('m', [value]).toString());
  const replies = execFileSync('python3', ['-c', script], { input: JSON.stringify(calls), encoding: 'utf8' });
  const decoded = replies
    .trim()
    .split('\n')
    .map((line) => decode(JSON.parse(line) as string));
  assert.deepEqual(decoded, all);
});

test('values are read in every form that rTorrent gives them', () => {
  const cases: readonly (readonly [string, unknown])[] = [
    ['<value><i8>9007199254740993</i8></value>', '9007199254740993'],
    ['<value><i4>-5</i4></value>', -5],
    ['<value><double>0.25</double></value>', 0.25],
    ['<value><boolean>1</boolean></value>', true],
    ['<value/>', ''],
    ['<value></value>', ''],
    ['<value> plain &amp; &#233;&#xe9;</value>', ' plain & éé'],
    ['<value><string/></value>', ''],
    ['<value><nil/></value>', null],
    ['<value>\n<array>\n<data/>\n</array>\n</value>', []],
    ['<value><array><data>\r\n<value><i8>1</i8></value>\r\n</data></array></value>', ['1']],
    ['<value><struct></struct></value>', {}],
    ['<value><base64>aGVs\nbG8=</base64></value>', Buffer.from('hello')],
  ];
  for (const [xml, value] of cases) assert.deepEqual(decode(reply(xml)), value, xml);
});

test('a fault is thrown with its code', () => {
  const struct = (code: string): string =>
    `<methodResponse><fault><value><struct><member><name>faultCode</name><value>${code}</value></member>` +
    '<member><name>faultString</name><value>no</value></member></struct></value></fault></methodResponse>';
  for (const code of ['<i4>-506</i4>', '<i8>-506</i8>']) {
    assert.throws(
      () => decode(struct(code)),
      (error) => error instanceof XmlRpcFault && error.code === -506,
    );
  }
});

test('what is no reply is refused', () => {
  for (const xml of [
    '',
    '<methodResponse/>',
    reply('<value><i4>x</i4></value>'),
    reply('<value><i4>1</i4>2</value>'),
    reply('<value><i4>1</i8></value>'),
    reply('<value>a & b</value>'),
    reply('<value>&nbsp;</value>'),
    reply('<value><date>1</date></value>'),
    reply('<value><array><data><value>a</value></array></value>'),
    reply('<value>a</value><value>b</value>'),
    reply('<value><![CDATA[a]]></value>'),
    `${reply('<value>a</value>')}x`,
    reply('<value>a</value>').slice(0, -40),
  ]) {
    assert.throws(() => decode(xml), SyntaxError, xml);
  }
});

test('any bytes are decoded or refused', () => {
  const unit = fc.constantFrom(
    '<value>',
    '</value>',
    '<array>',
    '<data>',
    '</data>',
    '</array>',
    '<i4>',
    '1',
    '</i4>',
    '&',
    ' ',
  );
  fc.assert(
    fc.property(fc.array(unit, { maxLength: 20 }), (parts) => {
      try {
        decode(reply(parts.join('')));
      } catch (error) {
        assert.ok(error instanceof SyntaxError, String(error));
      }
    }),
    { numRuns: 2000 },
  );
});

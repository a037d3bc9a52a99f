import assert from 'node:assert/strict';
import { atOnce, Excess } from '../../../src/clients/wire/slices.ts';
import { replySteps, XmlRpcFault } from '../../../src/clients/wire/xml-rpc.ts';
import type { FuzzTarget } from '../target.ts';

const reply = (value: string): Buffer =>
  Buffer.from(
    `<?xml version="1.0"?>\n<methodResponse><params><param><value>${value}</value></param></params></methodResponse>`,
  );
const fault = (code: string): string =>
  `<struct><member><name>faultCode</name><value><int>${code}</int></value></member>` +
  '<member><name>faultString</name><value><string>no</string></value></member></struct>';

export const target: FuzzTarget = {
  seeds: () => [
    reply('<string>0.9.8</string>'),
    reply(
      '<array><data><value><i8>9007199254740993</i8></value><value><i4>-1</i4></value><value>bare</value></data></array>',
    ),
    reply('<struct><member><name>a&amp;b</name><value><base64>aGk=</base64></value></member></struct>'),
    reply(`<array><data><value>${fault('-501')}</value><value><array><data></data></array></value></data></array>`),
    reply('<boolean>1</boolean>'),
    reply('<double>1.5</double>'),
    reply('<dateTime.iso8601>20200101T00:00:00</dateTime.iso8601>'),
    Buffer.from(`<?xml version="1.0"?><methodResponse><fault><value>${fault('4')}</value></fault></methodResponse>`),
  ],
  tokens: [
    '<value>',
    '</value>',
    '<array><data>',
    '</data></array>',
    '<struct>',
    '</struct>',
    '<member>',
    '<name>',
    '</name>',
    '<nil/>',
    '<int>',
    '</int>',
    '<i8>',
    '<string>',
    '<fault>',
    '<params>',
    '<param>',
    '</methodResponse>',
    '&lt;',
    '&#0;',
    '&x;',
    '<![CDATA[',
    ']]>',
    '<!--',
    '<!DOCTYPE a [<!ENTITY b "c">]>',
    '<name>__proto__</name>',
    '<?xml',
    '\0',
    '\ufffe',
  ],
  run(input) {
    try {
      const value = atOnce(replySteps(input, { bytes: input.length, values: 20_000, lists: 5000 }));
      assert.equal(polluted(value), false);
    } catch (error) {
      const declared = error instanceof SyntaxError || error instanceof Excess || error instanceof XmlRpcFault;
      if (!declared) throw error;
    }
  },
};

/** True where a name of the reply changed what an object inherits. */
function polluted(value: unknown): boolean {
  if (Array.isArray(value)) return value.some(polluted);
  if (typeof value !== 'object' || value === null || Buffer.isBuffer(value)) return false;
  return Object.getPrototypeOf(value) !== Object.prototype || Object.values(value).some(polluted);
}

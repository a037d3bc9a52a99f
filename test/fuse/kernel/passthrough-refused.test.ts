import assert from 'node:assert/strict';
import { constants } from 'node:os';
import { describe, it } from 'node:test';
import { Nodes } from '../../../src/fuse/kernel/nodes.ts';
import { Passthrough } from '../../../src/fuse/kernel/passthrough.ts';
import { createLogger } from '../../../src/logger.ts';

const { EPERM, ELOOP, EMFILE } = constants.errno;
const DEVICE = 8 * 256 + 1;

/** What the kernel answers to each file that it is to read: a backing id, or a negative errno. */
function passthroughWith(...answers: readonly number[]): {
  readonly passthrough: Passthrough;
  readonly lines: readonly string[];
  readonly closed: readonly number[];
  readonly asked: () => number;
  readonly open: (node: number, dev?: number) => unknown;
} {
  const [lines, closed]: [string[], number[]] = [[], []];
  let [asked, handles, dev] = [0, 0, DEVICE];
  const passthrough = new Passthrough({
    backing: {
      lend: (_handle, take) => take({ fd: 0, kind: 'pool', file: {}, dev }),
      giveBack: () => {},
    },
    nodes: new Nodes(),
    openBacking: () => answers[asked++] ?? -EPERM,
    closeBacking: (id) => closed.push(id),
    logger: createLogger('info', (line) => lines.push(line)),
  });
  const open = (node: number, on = DEVICE): unknown => {
    dev = on;
    return passthrough.opened(node, ++handles, 0);
  };
  return { passthrough, lines, closed, asked: () => asked, open };
}

describe('passthrough that the kernel refuses', () => {
  it('is tried with our own program, and says that it works', () => {
    const { passthrough, closed } = passthroughWith(7);
    passthrough.begin(1);
    assert.deepEqual(closed, [7]);
    assert.equal(passthrough.describe(), 'passthrough');
  });

  it('is not tried without CAP_SYS_ADMIN', () => {
    const { passthrough, lines, asked, open } = passthroughWith(-EPERM, 1);
    passthrough.begin(1);
    assert.deepEqual(open(2), { flags: 0 });
    assert.equal(asked(), 1);
    assert.equal(passthrough.describe(), 'no passthrough: it needs CAP_SYS_ADMIN');
    assert.equal(lines.length, 1);
  });

  it('is not tried with a kernel that has none', () => {
    const { passthrough, asked } = passthroughWith();
    passthrough.begin(0);
    assert.equal(asked(), 0);
    assert.equal(passthrough.describe(), 'no passthrough: it needs Linux 6.9');
  });

  it('is tried once for each file system, and goes on elsewhere', () => {
    const { passthrough, lines, asked, open } = passthroughWith(-ELOOP, -ELOOP, 3);
    passthrough.begin(1);
    assert.deepEqual(open(2), { flags: 0 });
    assert.deepEqual(open(3), { flags: 0 });
    assert.equal(asked(), 2);
    assert.equal((open(4, DEVICE + 1) as { readonly backing?: number }).backing, 3);
    assert.equal(passthrough.describe(), 'passthrough, but not on file system 8:1 (ELOOP)');
    assert.equal(lines.length, 1);
  });

  it('is tried again where the kernel had no room', () => {
    const { passthrough, lines, open } = passthroughWith(1, -EMFILE, 2);
    passthrough.begin(1);
    assert.deepEqual(open(2), { flags: 0 });
    assert.equal((open(3) as { readonly backing?: number }).backing, 2);
    assert.deepEqual(lines, []);
  });
});

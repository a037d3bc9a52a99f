import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { Nodes } from '../../../src/fuse/kernel/nodes.ts';

describe('the node table', () => {
  it('forgets a node when the kernel has taken away what it was given', () => {
    const nodes = new Nodes();
    assert.equal(nodes.count(7), 7);
    assert.equal(nodes.count(7), 7);
    assert.equal(nodes.forget(7, 1), undefined);
    assert.ok(nodes.knows(7));
    assert.equal(nodes.forget(7, 1), 7);
    assert.ok(!nodes.knows(7));
    assert.equal(nodes.size, 0);
  });

  it('always knows the root', () => {
    const nodes = new Nodes();
    nodes.count(1);
    assert.equal(nodes.forget(1, 5), undefined);
    assert.ok(nodes.knows(1));
    assert.equal(nodes.size, 0);
  });

  it('gives an inode another node, and knows it by both until each is forgotten', () => {
    const nodes = new Nodes();
    nodes.count(7);
    const node = nodes.renew(7);
    assert.ok(node >= 2 ** 52);
    assert.equal(nodes.nodeOf(7), node);
    assert.equal(nodes.inodeOf(node), 7);
    assert.equal(nodes.inodeOf(7), 7);
    assert.deepEqual([...nodes.nodesOf(7)], [7]);
    assert.equal(nodes.count(7), node);
    assert.deepEqual([...nodes.nodesOf(7)], [7, node]);
    assert.equal(nodes.forget(7, 1), undefined);
    assert.equal(nodes.count(7), node);
    assert.equal(nodes.forget(node, 1), undefined);
    assert.equal(nodes.forget(node, 1), 7);
    assert.equal(nodes.size, 0);
    assert.equal(nodes.nodeOf(7), 7);
  });

  it('keeps the present node of an inode while the kernel knows an older one', () => {
    const nodes = new Nodes();
    nodes.count(7);
    const node = nodes.renew(7);
    nodes.count(7);
    assert.equal(nodes.forget(node, 1), undefined);
    assert.equal(nodes.count(7), node);
    assert.equal(nodes.inodeOf(node), 7);
  });

  it('knows exactly what was given and not taken away, whatever the order', () => {
    const step = fc.record({ ino: fc.integer({ min: 2, max: 5 }), what: fc.constantFrom('count', 'forget', 'renew') });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const nodes = new Nodes();
        const held = new Map<number, { ino: number; lookups: number }>();
        for (const { ino, what } of steps) {
          if (what === 'renew') nodes.renew(ino);
          else if (what === 'count') {
            const node = nodes.count(ino);
            const known = held.get(node) ?? { ino, lookups: 0 };
            assert.equal(known.ino, ino);
            held.set(node, { ino, lookups: known.lookups + 1 });
          } else {
            const [node, known] = [...held].find(([, { ino: held }]) => held === ino) ?? [];
            if (node === undefined || known === undefined) continue;
            held.delete(node);
            const others = [...held.values()].some((other) => other.ino === ino);
            assert.equal(nodes.forget(node, known.lookups), others ? undefined : ino);
          }
          for (const [node, known] of held) assert.equal(nodes.inodeOf(node), known.ino);
          for (const each of [2, 3, 4, 5]) {
            const expected = [...held].flatMap(([node, known]) => (known.ino === each ? [node] : []));
            assert.deepEqual(new Set(nodes.nodesOf(each)), new Set(expected));
          }
        }
        for (const [node, { lookups }] of held) nodes.forget(node, lookups);
        for (const each of [2, 3, 4, 5]) assert.ok(!nodes.knows(each));
      }),
    );
  });
});

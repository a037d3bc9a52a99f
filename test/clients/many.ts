/** A client with many torrents: how many calls a list takes. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { ClientDaemon } from '../harness/client-daemon.ts';
import { startCountingProxy } from '../harness/counting-proxy.ts';
import { bytes, sample } from './steps.ts';
import type { Subject } from './subject.ts';

/** To add 5,000 takes a client up to a minute; `npm run test:many` does that. The calls are the same from 400 on. */
const COUNT = Number(process.env['CLIENT_TORRENTS'] ?? 400);

export function manyTorrentsContract(subject: Subject): void {
  describe(`${subject.title ?? subject.name} with many torrents`, () => {
    let daemon: ClientDaemon;
    before(async () => {
      daemon = await subject.start();
    });
    after(() => daemon?.stop());

    it(`lists ${COUNT} in a call, and half of them in two at the most`, async () => {
      const all = Array.from({ length: COUNT }, (_, i) => sample({ name: `many ${i}`, content: bytes(10, i) }));
      const client = subject.filler?.() ?? subject.connect(daemon.url);
      for (let i = 0; i < all.length; i += 500) {
        const some = all.slice(i, i + 500).map((metainfo) => ({ metainfo, directory: daemon.downloads }));
        for (const result of await client.add(some)) assert.equal(result.outcome, 'added');
      }
      const proxy = await startCountingProxy(daemon.url);
      try {
        const proxied = subject.connect(proxy.url);
        await proxied.describe();
        proxy.reset();
        const names = new Map((await proxied.list()).map(({ infoHash, name }) => [infoHash, name]));
        // No new call where one connection carries all of them.
        assert.ok(proxy.calls <= 1, `${proxy.calls} calls`);
        assert.equal(names.size, all.length);
        for (const { infoHash, name } of all) assert.equal(names.get(infoHash), name);
        const asked = all.slice(0, COUNT / 2).map(({ infoHash }) => infoHash);
        proxy.reset();
        assert.equal((await proxied.list([...asked, 'cd'.repeat(20)])).length, asked.length);
        assert.ok(proxy.calls <= 2, `${proxy.calls} calls`);
        await proxied.close();
      } finally {
        await proxy.stop();
        await client.close();
      }
    });
  });
}

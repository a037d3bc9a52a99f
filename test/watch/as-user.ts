/** A watch in a process of its own, which prints what is reported: one JSON string a line. `as-user.js BASE FILE…` follows files. */
import { Watching } from './watching.ts';

const [, , base = '', ...files] = process.argv;
const watching = new Watching(base, {
  ...(process.env['MOST_MARKS'] === undefined ? {} : { mostMarks: Number(process.env['MOST_MARKS']) }),
  onEvents: (events) => {
    watching.events.push(...events);
    for (const text of watching.texts) console.log(JSON.stringify(text));
    watching.events.length = 0;
  },
});
for (const [i, file] of files.entries()) await watching.watch.follow(i + 1, Buffer.from(file));
await watching.watch.fence();
console.log(JSON.stringify(watching.watch.facts));
process.stdin.resume().once('end', () => void watching.watch.close());

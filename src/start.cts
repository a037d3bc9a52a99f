#!/usr/bin/env node
/**
 * The command `autotorrent`. It gives a server its threads for calls on files, and runs `main.ts`.
 *
 * Such a call holds a thread of libuv's pool until its disk answers (`source/disk-turns.ts` shares them out), and libuv has
 * four of them. It reads their number when it starts them. Node does that while it loads the first ES module: hence this file,
 * which is none.
 */
const THREADS = '64';

if (process.argv.includes('mount')) process.env['UV_THREADPOOL_SIZE'] ??= THREADS;
void import('./main.ts');

/** Loaded with `node --import` into a process whose memory is measured: says at its end how much it took at most. */
process.on('exit', () => {
  process.stderr.write(`\nmaxrss ${process.resourceUsage().maxRSS / 1024} MiB\n`);
});

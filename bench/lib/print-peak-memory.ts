/** Loaded with `node --import` into another program: prints the program's peak memory when it ends. */
process.on('exit', () => {
  process.stderr.write(`\nmaxrss ${process.resourceUsage().maxRSS / 1024} MiB\n`);
});

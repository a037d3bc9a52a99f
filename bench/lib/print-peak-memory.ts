/** Loaded with `node --import` into another program: prints the most memory that it took when it ends. */
process.on('exit', () => {
  process.stderr.write(`\nmaxrss ${process.resourceUsage().maxRSS / 1024} MiB\n`);
});

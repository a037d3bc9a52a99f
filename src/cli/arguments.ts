/**
 * Brings a command line into a form that commander takes, before it sees it.
 *
 * The original had no commands, only flags that combine (`-r -a x.torrent`); both forms live side by side: where the
 * first word that is no flag is a command's name, it is the new form.
 */

/** Flags of both forms that take one value each, which is never a command's name. */
const VALUED = new Set(['-c', '--config', '-l', '--client']);

/** True where `args` begin with a command of ours, or ask for help or the version of the program as a whole. */
export function hasCommand(args: readonly string[], commands: ReadonlySet<string>): boolean {
  for (let i = 0; i < args.length; i++) {
    const word = args[i] ?? '';
    if (VALUED.has(word)) i++;
    else if (!word.startsWith('-')) return commands.has(word);
    else if (!isGlobal(word)) return false;
  }
  return true; // only global flags, or nothing: the program's own help
}

/** The first word where a command's name should stand and something else does, in a line without the original's flags. */
export function strangeCommand(args: readonly string[], commands: ReadonlySet<string>): string | undefined {
  for (let i = 0; i < args.length; i++) {
    const word = args[i] ?? '';
    if (VALUED.has(word)) i++;
    else if (!word.startsWith('-')) return commands.has(word) ? undefined : word;
    else if (!isGlobal(word)) return undefined;
  }
  return undefined;
}

const GLOBAL = ['--config', '--client', '--verbose', '--json', '--no-color', '--help', '--version'];

function isGlobal(word: string): boolean {
  if (['-c', '-l', '-v', '-h', '-V'].includes(word) || /^-[cl]./.test(word)) return true;
  const name = word.split('=', 1)[0] ?? '';
  return word.startsWith('--') && word.length > 2 && GLOBAL.some((flag) => flag.startsWith(name));
}

/**
 * Writes each long flag out in full where it is a unique prefix of one of `flags`, as argparse did;
 * an ambiguous or unknown one is left for commander to refuse. Words after `--` are left alone.
 */
export function expandPrefixes(args: readonly string[], flags: readonly string[]): string[] {
  let verbatim = false;
  return args.map((word) => {
    if (word === '--') verbatim = true;
    if (verbatim || !word.startsWith('--')) return word;
    const [name = '', ...value] = word.split('=');
    if (flags.includes(name)) return word;
    const matches = flags.filter((flag) => flag.startsWith(name));
    return matches.length === 1 ? [matches[0], ...value].join('=') : word;
  });
}

/** Gives `--dry-run` its value: the word behind it where that is `txt` or `json`, `txt` otherwise. */
export function settleDryRun(args: readonly string[]): string[] {
  const settled: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const word = args[i] ?? '';
    if (word === '--') return [...settled, ...args.slice(i)];
    if (word !== '--dry-run' && word !== '--dry_run') {
      settled.push(word);
      continue;
    }
    const next = args[i + 1];
    const format = next === 'txt' || next === 'json' ? next : 'txt';
    if (next === format) i++;
    settled.push(`--dry-run=${format}`);
  }
  return settled;
}

/**
 * Prepares a command line for commander.
 *
 * The original had no commands, only flags that combine (`-r -a x.torrent`). Both forms exist side by side: a line is
 * of the new form if its first word that is no flag is a command's name.
 */

/** Flags of both forms that take one value, which is never a command's name. */
const VALUED = new Set(['-c', '--config', '-l', '--client']);

/** True if `args` begin with a command of ours, or ask for the program's help or version. */
export function hasCommand(args: readonly string[], commands: ReadonlySet<string>): boolean {
  for (let i = 0; i < args.length; i++) {
    const word = args[i] ?? '';
    if (VALUED.has(word)) i++;
    else if (!word.startsWith('-')) return commands.has(word);
    else if (!isGlobal(word)) return false;
  }
  return true; // only global flags, or nothing: the program's own help
}

/** Finds the first word, if it stands in a command's place but is none, in a line without the original's flags. */
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
 * Completes each long flag that is a unique prefix of one of `flags`, as argparse did. Ambiguous and unknown flags are
 * left for commander to refuse, and words after `--` are left alone.
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

/** Gives `--dry-run` its value: the word after it if that is `txt` or `json`, else `txt`. */
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

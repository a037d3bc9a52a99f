/**
 * Handles Ctrl-C, SIGTERM and a closed terminal. The first asks the command to end in good order, the second ends the
 * process. If the command can skip something, the second makes it do that, and the third ends the process.
 */

export interface Signals {
  readonly signal: AbortSignal;
  /** For a command that can skip something: aborted at the second signal. */
  second(): AbortSignal;
  /** Stops handling the signals. */
  release(): void;
}

export function stopOnSignals(): Signals {
  const controller = new AbortController();
  let second: AbortController | undefined;
  const names = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  const onSignal = (name: NodeJS.Signals): void => {
    if (!controller.signal.aborted) {
      controller.abort(new Error(`stopped by ${name}`));
      return;
    }
    if (second?.signal.aborted === false) {
      second.abort();
      return;
    }
    release();
    process.kill(process.pid, name);
  };
  const release = (): void => {
    for (const name of names) process.off(name, onSignal);
  };
  for (const name of names) process.on(name, onSignal);
  return {
    signal: controller.signal,
    second: () => (second ??= new AbortController()).signal,
    release,
  };
}

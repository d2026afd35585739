/** What an operator tells a process by signals, and a start that such a word may end. */

/** Resolves with the first SIGTERM or SIGINT. From the start of a service: until somebody listens, each of these ends it. */
export function heed(onHangup: () => void): Promise<void> {
  process.on('SIGHUP', onHangup);
  return new Promise((resolve) => {
    // Not once: whoever presses Ctrl-C sends two (npm passes it on), and the second must not cut a drain short.
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => resolve());
  });
}

/** What was started; undefined when `told` came first: nobody has been served, and what was begun ends with the process. */
export function unlessTold<T>(starting: Promise<T>, told: Promise<void>): Promise<T | undefined> {
  // Of one that nobody waits for any more.
  starting.catch(() => {});
  return Promise.race([starting, told.then(() => undefined)]);
}

/** Who gives up by which signal: one listener a signal, however many wait, for Node warns of more than ten. */

interface Waits {
  readonly acts: Set<() => void>;
  readonly listener: () => void;
}

const bySignal = new WeakMap<AbortSignal, Waits>();

/** Runs `act` when `signal` is aborted. */
export function onAbort(signal: AbortSignal, act: () => void): void {
  const known = bySignal.get(signal);
  if (known !== undefined) {
    known.acts.add(act);
    return;
  }
  const acts = new Set([act]);
  const listener = (): void => {
    bySignal.delete(signal);
    for (const each of acts) each();
  };
  bySignal.set(signal, { acts, listener });
  signal.addEventListener('abort', listener, { once: true });
}

export function offAbort(signal: AbortSignal, act: () => void): void {
  const known = bySignal.get(signal);
  if (known === undefined || !known.acts.delete(act) || known.acts.size > 0) return;
  bySignal.delete(signal);
  signal.removeEventListener('abort', known.listener);
}

/** Real time for programs and runs whose length is what they are about: the machine's clock, pauses, beats. */

/** CLOCK_MONOTONIC in milliseconds, which all processes of a machine share. */
export const nowMs = (): number => Number(process.hrtime.bigint()) / 1e6;

/** Ends early when `signal` is aborted; never rejects. */
export function pause(forMs: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, Math.max(0, forMs));
    signal?.addEventListener('abort', end);
  });
}

/** `act` every so often, until what is returned is called. */
export function beat(everyMs: number, act: () => void): () => void {
  const timer = setInterval(act, everyMs);
  return () => clearInterval(timer);
}

/** The whole process does nothing else for so long. */
export function block(forMs: number): void {
  const endMs = nowMs() + forMs;
  while (nowMs() < endMs);
}

/** How late this process's event loop was, each time that it was later than `aboveMs`. */
export function lateness(aboveMs: number, tell: (fromMs: number, untilMs: number) => void): () => void {
  const EVERY_MS = 20;
  let lastMs = nowMs();
  return beat(EVERY_MS, () => {
    const atMs = nowMs();
    if (atMs - lastMs - EVERY_MS > aboveMs) tell(lastMs + EVERY_MS, atMs);
    lastMs = atMs;
  });
}

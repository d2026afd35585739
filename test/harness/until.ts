/** Waits for states: a test says what must become true, never how long that takes. */

const POLL_MS = 5;

/** The first truthy answer of `look`, asked every so often; throws with `what` and the last answer when none came in time. */
export async function until<T>(
  what: string,
  look: () => T | Promise<T>,
  withinMs = 30_000,
  everyMs = POLL_MS,
): Promise<Exclude<T, false | 0 | '' | null | undefined>> {
  const deadlineMs = performance.now() + withinMs;
  for (;;) {
    const seen = await look();
    if (seen) return seen as Exclude<T, false | 0 | '' | null | undefined>;
    if (performance.now() > deadlineMs) {
      throw new Error(
        `not within ${withinMs} ms: ${what} (last seen: ${JSON.stringify(seen) ?? String(seen)})`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}

/** `count` times `act`, one after the other. */
export async function repeat(count: number, act: (round: number) => Promise<void>): Promise<void> {
  for (let round = 0; round < count; round += 1) await act(round);
}

/** A replica, as a process of its own, whose clocks do not see that it was stopped; run in front of `bin/holdfast serve`. */
import { startReplica } from '../../src/app.ts';
import { loadSettings } from '../../src/config.ts';
import { type Clock, systemClock } from '../../src/std/clock.ts';

/** `suspended`: the monotonic clock stands still, as in a machine that sleeps. `blind`: the wall clock does, too. */
const [, , blindness] = process.argv;
/** Longer than an event loop stands still on a busy machine. */
const STOPPED_MS = 600;
const LOOK_MS = 5;

let skippedMs = 0;
let lastMs = systemClock.monotonicMs();

/** What the machine's clock shows, less the time in which nothing ran. */
function seenMs(): number {
  const nowMs = systemClock.monotonicMs();
  if (nowMs - lastMs > STOPPED_MS) skippedMs += nowMs - lastMs;
  lastMs = nowMs;
  return nowMs - skippedMs;
}

const clock: Clock = {
  ...systemClock,
  monotonicMs: seenMs,
  wallMicros() {
    seenMs();
    return systemClock.wallMicros() - (blindness === 'blind' ? Math.round(skippedMs * 1000) : 0);
  },
};
setInterval(seenMs, LOOK_MS);

const loaded = loadSettings({ argv: [], env: process.env });
if (!loaded.ok) throw new Error(loaded.problems.join('\n'));
const { addresses, httpAddress } = await startReplica(loaded.settings, { clock });
process.stdout.write(`${JSON.stringify({ addresses, http: httpAddress, msg: 'serving' })}\n`);

/** A client process of a run: `client.ts ORDERS`. After SIGUSR2 it does no more harm; at SIGTERM it lets go and ends. */
import { lateness } from '../harness/pace.ts';
import { Dice } from '../sim/dice.ts';
import { Journal } from './journal.ts';
import type { Locker } from './locker.ts';
import type { Orders } from './orders.ts';
import { Register } from './register.ts';
import { WithCalls } from './with-calls.ts';
import { WithHoldfast } from './with-holdfast.ts';
import { WithRedlock, WithSemaphore } from './with-libraries.ts';
import { type Room, Worker } from './worker.ts';

const LATE_MS = 50;

const orders = JSON.parse(process.argv[2]!) as Orders;
const { name, places, subject, plain, seed, threads, ttlMs, nodeTimeoutMs } = orders;
const journal = new Journal(orders.journal);
const stop = new AbortController();
const healed = new AbortController();
const room: Room = {
  orders,
  journal,
  register: new Register(orders.register),
  stop: stop.signal,
  healed: healed.signal,
};

/** Of Holdfast both ways to use it, unless it is compared with libraries that have but one. */
function lockers(): Locker[] {
  switch (subject) {
    case 'holdfast': {
      const stream = new WithHoldfast(places, ttlMs);
      return plain ? [stream] : [stream, new WithCalls(places, name, journal), stream];
    }
    case 'redlock':
      return [new WithRedlock(places, nodeTimeoutMs, 5)];
    case 'redlock4':
      return [new WithRedlock(places, nodeTimeoutMs, 4)];
    case 'redis-semaphore':
      return [new WithSemaphore(places, nodeTimeoutMs)];
  }
}

// The one who started it reads all of this: it must not end half way.
process.on('SIGUSR2', () => {
  healed.abort();
  process.stdout.write('{"event":"healed"}\n');
});
process.on('SIGTERM', () => stop.abort());
lateness(LATE_MS, (fromMs, untilMs) => journal.stall(fromMs, untilMs, false));
const open = lockers();
const dice = new Dice(seed);
const workers = Array.from({ length: threads }, (_, at) => {
  const locker = open[at % open.length]!;
  return new Worker(room, locker, `${name}/${at}`, new Dice(dice.seed()));
});
process.stdout.write('{"event":"works"}\n');
await Promise.all(workers.map((worker) => worker.run()));
await Promise.all([...new Set(open)].map((locker) => locker.close()));
room.register.close();
journal.done();
process.exit(0);

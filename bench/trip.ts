/** How long does one operation take that finds everybody idle or warm, and how much of it could no service over these nodes save? */
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { LightSession } from './lib/light-session.ts';
import { fixed, heading, table } from './lib/report.ts';
import { SessionStage, type Subject } from './lib/session-stage.ts';
import { quantile } from './lib/stats.ts';

const NODES = 3;
const TTL_S = 30;
/** As long as the holders of `handoff` hold: everybody falls idle meanwhile. */
const IDLE_MS = 1;
const WARM_UP_PAIRS = 1500;
/** The first of a turn finds the caches as the one before has left them. */
const SKIPPED = 20;
const FULL = { rounds: 10, pairs: 150 };
const QUICK = { rounds: 3, pairs: 60 };

async function tookMs(act: () => Promise<unknown>): Promise<number> {
  const startedMs = performance.now();
  await act();
  return performance.now() - startedMs;
}

/** Acquire and release in turns, one at a time. */
async function trips(session: LightSession, idleMs: number, pairs: number): Promise<number[]> {
  const took: number[] = [];
  for (let pair = 0; pair < pairs; pair += 1) {
    let leaseId: Buffer = Buffer.alloc(0);
    if (idleMs > 0) await sleep(idleMs);
    took.push(
      await tookMs(async () => {
        ({ leaseId } = await session.acquire('bench/trip', 'bench', TTL_S));
      }),
    );
    if (idleMs > 0) await sleep(idleMs);
    took.push(await tookMs(() => session.release(leaseId)));
  }
  return took.slice(2 * SKIPPED);
}

async function openSession({ server }: Subject): Promise<LightSession> {
  const { address } = await server!.ask({});
  const session = new LightSession(address);
  await session.connected();
  return session;
}

/** No gate: it is what the gates of others are read against. `--quick`: few of them, to see that it runs. */
export async function run(): Promise<boolean> {
  const { values } = parseArgs({ args: process.argv.slice(3), options: { quick: { type: 'boolean' } } });
  const { rounds, pairs } = values.quick === true ? QUICK : FULL;
  const stage = new SessionStage();
  try {
    const servers = await stage.nodes(NODES);
    const subjects = [
      await stage.holdfast(`a Session on ${NODES} nodes`, servers),
      await stage.relay('nodes asked, nothing decided', servers),
      await stage.edge('locks that answer at once'),
    ];
    const sessions = await Promise.all(subjects.map(openSession));
    for (const session of sessions) await trips(session, 0, WARM_UP_PAIRS);
    heading(`one operation at a time over a Session, ${NODES} redis-servers`);
    const rows = [['ms, each after a pause of', 'ms', 'p10', 'p50', 'p90']];
    for (const idleMs of [IDLE_MS, 0]) {
      const took: number[][] = subjects.map(() => []);
      for (let round = 0; round < rounds; round += 1) {
        for (const [at, session] of sessions.entries())
          took[at]!.push(...(await trips(session, idleMs, pairs)));
      }
      for (const [at, all] of took.entries()) {
        rows.push([
          subjects[at]!.name,
          `${idleMs}`,
          ...[0.1, 0.5, 0.9].map((q) => fixed(quantile(all, q), 3)),
        ]);
      }
    }
    table(rows);
    return true;
  } finally {
    await stage.stop();
  }
}

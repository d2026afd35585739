/** Would the gates notice a slow build? One that sends each operation by itself must fail both of them. */
import { limits } from '../src/domain/limits.ts';
import { BatchWatch, countGates } from './lib/counts.ts';
import { gate, heading, judge, say } from './lib/report.ts';
import { startServers } from './lib/servers.ts';
import { openOurs, ourPair } from './lib/sides.ts';
import { IN_FLIGHT, ratioGate } from './quorum.ts';

const NODES = 3;

/** The real path with one bound moved: still one turn of the loop, but an EVALSHA for every operation. */
async function slowed<T>(act: () => Promise<T>): Promise<T> {
  const bounds = limits as { operationsPerBatch: number };
  const usual = bounds.operationsPerBatch;
  bounds.operationsPerBatch = 1;
  try {
    return await act();
  } finally {
    bounds.operationsPerBatch = usual;
  }
}

export async function run(): Promise<boolean> {
  heading('a build that sends one EVALSHA for each operation');
  const servers = await startServers(NODES);
  const watch = new BatchWatch();
  const ours = await openOurs(servers, NODES, watch.probe);
  try {
    return await slowed(async () => {
      const pair = ourPair(ours.locks);
      const counts = await countGates(servers, NODES, watch, pair, IN_FLIGHT);
      const ratio = await ratioGate(servers, NODES, pair, 'against redlock');
      say('  what the gates said of it:');
      judge([...counts, ratio]);
      const caught = counts.filter(({ passed }) => !passed).map(({ name }) => name);
      return judge([
        gate('the count gates catch it', caught.length > 0, caught.join(', ') || 'no gate failed'),
        gate('the ratio gate catches it', !ratio.passed, ratio.detail),
      ]);
    });
  } finally {
    ours.stop();
    await servers.stop();
  }
}

/** Packets that are lost or answered with resets between a real replica and real nodes on TCP: a minority costs nothing. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { HoldStream } from '../harness/lock-streams.ts';
import { Netns, type PacketFault, withoutNetns } from '../harness/netns.ts';
import { Nodes } from '../harness/nodes.ts';
import { ReplicaProcess, refusal, span } from '../harness/replica.ts';
import { Traffic } from '../harness/traffic-net.ts';
import { until } from '../harness/until.ts';

const PORTS = [7001, 7002, 7003] as const;
const TTL_MS = 700;
/** Until a connection is given up, TCP has tried again, and a new one stands: all of it is some seconds at most. */
const RECOVERY_MS = 15_000;
const env = { HOLDFAST_NODE_TIMEOUT: '300ms', HOLDFAST_MIN_TTL: '100ms' };

let net: Netns;
let nodes: Nodes;
let replica: ReplicaProcess;

describe.skipIf(withoutNetns !== '')(`in a private network${withoutNetns}`, () => {
  beforeAll(async () => {
    net = await Netns.open();
    nodes = await Nodes.start(3, (index) => ({ port: PORTS[index]!, within: net.within }));
    // The same sockets are reached from outside of the network, past all faults.
    const list = nodes.servers.map(({ tcpUrl }, index) => `${tcpUrl}#n${index + 1}`).join(',');
    const listen = { HOLDFAST_LISTEN: `unix:${nodes.servers[0]!.directory}/replica.sock` };
    replica = await ReplicaProcess.start(
      list,
      { ...env, ...listen, HOLDFAST_BOOTSTRAP: '1', HOLDFAST_CLOCK_SKEW: '50ms' },
      net.within,
    );
    await states('READY', 'READY', 'READY');
  });
  afterAll(async () => {
    await replica?.stop();
    await nodes?.close();
    net?.close();
  });

  test.each<readonly [PacketFault, PacketFault]>([
    ['half-open', 'reset'],
    ['to the node lost', 'from the node lost'],
    ['reset', 'to the node lost'],
  ])(
    '%s, a minority, changes nothing; and %s, a majority, ends grants and renewals; then all comes back',
    async (fault, more) => {
      const name = fault.replaceAll(' ', '-');
      const kept = hold(`${name}/kept`);
      const brief = hold(`${name}/brief`);
      await Promise.all([kept.decided(), brief.decided()]);

      net.faults([PORTS[2], fault]);
      await states('READY', 'READY', 'SILENT');
      const renewed = kept.of('renewed').length;
      const lease = await replica.client.lock(name);
      expect(await replica.client.heartbeat(lease.lease_id)).toMatchObject({ lease_ref: lease.lease_ref });
      expect(await replica.client.release(lease.lease_id)).toBe(true);
      await until('it is renewed by the others', () => kept.of('renewed').length > renewed + 2);

      net.faults([PORTS[2], fault], [PORTS[1], more]);
      const promised = brief.of('renewed').length;
      expect(await refusal(replica.client.acquire({ resources: [name] }))).toMatchObject({
        reason: 'NO_QUORUM',
      });
      // One round may have been under way when the packets began to be lost.
      await until('both are lost', () => [kept, brief].every((one) => one.of('lost').length > 0));
      expect(brief.of('renewed').length).toBeLessThanOrEqual(promised + 1);

      net.heal();
      const again = await until('a majority grants', () => grantedAgain(`${name}/kept`), RECOVERY_MS);
      expect(BigInt(again.fencing_token)).toBeGreaterThan(BigInt(kept.lease.fencing_token));
      await states('READY', 'READY', 'READY');
      await nodes.free(name);
      await nodes.free(`${name}/brief`);
      expect(await replica.client.release(again.lease_id)).toBe(true);
    },
  );

  test('one packet in five lost on every link: grants go on, exclude each other, and leave nothing', async () => {
    const traffic = new Traffic({
      client: () => replica.client,
      resources: ['lossy/0', 'lossy/1'],
      owners: 4,
      ttlMs: 2000,
      waitMs: 2000,
    });
    traffic.start();
    await traffic.grants(10);
    net.faults(...PORTS.map((port) => [port, 'one in five lost'] as const));
    traffic.fault('one in five lost', 'every node');
    await traffic.grants(20, 30_000);
    net.heal();
    await traffic.healed(RECOVERY_MS);
    await traffic.end(nodes, 25);
    expect(traffic.violations()).toEqual([]);
  });
});

const hold = (resource: string): HoldStream =>
  HoldStream.acquire(replica.address, resource, { owner: `holder of ${resource}`, ttl: span(TTL_MS) });

async function grantedAgain(resource: string) {
  return replica.client.lock(resource, { wait: { seconds: 1 } }).catch(() => undefined);
}

async function states(...expected: readonly string[]): Promise<void> {
  let seen = '';
  const look = async (): Promise<boolean> => {
    seen = (await replica.client.status()).nodes.map(({ state, detail }) => `${state} ${detail}`).join();
    return expected.every((state, index) => seen.split(',')[index]?.startsWith(`NODE_STATE_${state}`));
  };
  await until(`the nodes are ${expected.join()}`, look, RECOVERY_MS).catch((error: unknown) => {
    throw new Error(`${String(error)}; they are ${seen}`);
  });
}

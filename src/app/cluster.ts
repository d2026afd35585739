/** The acts on a cluster that need no replica: set it up, or move it; and how its nodes are reached. */
import { connectionUrl, type RedisNode as NodeSetting, type Settings } from '../config.ts';
import { silentProbe } from '../domain/probe.ts';
import { RedisNode } from '../nodes/redis-node.ts';
import { adopt as adoptNodes } from '../quorum/adopt.ts';
import { bootstrap as bootstrapNodes, type Report } from '../quorum/bootstrap.ts';
import { fingerprint, type NodeAddress } from '../quorum/cluster.ts';
import { systemClock } from '../std/clock.ts';
import { systemRandom } from '../std/random.ts';

export function addressOf(node: NodeSetting): NodeAddress {
  const secret = node.address.kind === 'unix' ? node.password?.reveal() : undefined;
  return {
    id: node.id,
    url: connectionUrl(node),
    ...(secret === undefined ? {} : { username: node.username, password: secret }),
  };
}

function connect(settings: Settings, nodes: readonly NodeSetting[]): RedisNode[] {
  const { namespace, nodeTimeoutMs: timeoutMs } = settings;
  return nodes.map(
    (node) =>
      new RedisNode({ ...addressOf(node), namespace, timeoutMs, clock: systemClock, probe: silentProbe }),
  );
}

function clusterOf(settings: Settings, nodes: readonly NodeSetting[]): string {
  return fingerprint(nodes.map(addressOf), settings.namespace);
}

/** `holdfast config bootstrap` */
export async function bootstrap(settings: Settings): Promise<Report> {
  const nodes = connect(settings, settings.redisNodes);
  try {
    return await bootstrapNodes({
      nodes,
      cluster: clusterOf(settings, settings.redisNodes),
      longestTtlMs: settings.maxTtlMs,
      clock: systemClock,
      random: systemRandom,
    });
  } finally {
    for (const node of nodes) node.close();
  }
}

/** `holdfast config adopt --from OLD` */
export async function adopt(settings: Settings, old: readonly NodeSetting[]): Promise<Report> {
  const nodes = connect(settings, settings.redisNodes);
  const oldNodes = connect(settings, old);
  try {
    return await adoptNodes({
      oldNodes,
      oldCluster: clusterOf(settings, old),
      nodes,
      cluster: clusterOf(settings, settings.redisNodes),
      longestTtlMs: settings.maxTtlMs,
      random: systemRandom,
    });
  } finally {
    for (const node of [...nodes, ...oldNodes]) node.close();
  }
}

/** One redis-server driven operation by operation, so that a test chooses in which order they arrive. */

import { leaseRefOf } from '../../src/domain/lease.ts';
import type { Answer, HoldOp, ReleaseOp, RenewOp, RepairOp } from '../../src/nodes/node.ts';
import { SCHEMA } from '../../src/nodes/node.ts';
import { RedisNode, type RedisNodeOptions } from '../../src/nodes/redis-node.ts';
import { systemClock } from '../../src/std/clock.ts';
import { enlist } from './enlist.ts';

export interface Attempt {
  readonly secret: string;
  readonly token: bigint;
  readonly value: string;
  readonly leaseRef: string;
  readonly resources: readonly string[];
}

export function attemptOf(secret: string, token: bigint, ...resources: string[]): Attempt {
  const value = `${secret}|${token}`;
  return { secret, token, value, leaseRef: leaseRefOf(value), resources };
}

const TTL_MS = 2000;

export class BareNode {
  readonly node: RedisNode;

  private constructor(node: RedisNode) {
    this.node = node;
  }

  /** A node that may vote: bootstrapped as the only one of its cluster unless it bears a meta already. */
  static async open(
    server: { readonly url: string },
    scripts?: RedisNodeOptions['scripts'],
    timeoutMs = 5000,
  ): Promise<BareNode> {
    const node = new RedisNode({
      id: 'bare',
      url: server.url,
      namespace: 'holdfast',
      timeoutMs,
      clock: systemClock,
      ...(scripts === undefined ? {} : { scripts }),
    });
    const { runId } = (await node.ready())!;
    const stamp = { runId, nodeId: 'bare', cluster: 'c0', longestTtlMs: TTL_MS };
    await enlist(node, { ...stamp, schema: SCHEMA, durable: false });
    node.admit(stamp);
    return new BareNode(node);
  }

  hold(of: Attempt, more: Partial<HoldOp> = {}): Promise<Answer> {
    return this.node.ask({
      kind: 'hold',
      ...of,
      ttlMs: TTL_MS,
      owner: 'w1',
      card: cardOf(of),
      seen: 0n,
      ...more,
    });
  }

  undo({ secret, token, value, resources }: Attempt, more: Partial<ReleaseOp> = {}): Promise<Answer> {
    const op = { kind: 'release', why: 'undone', reason: '', closing: true, seen: 0n } as const;
    return this.node.ask({ ...op, secret, token, value, resources, ...more });
  }

  release(of: Attempt): Promise<Answer> {
    return this.undo(of, { why: 'released', closing: false });
  }

  renew({ value, leaseRef, token, resources }: Attempt, more: Partial<RenewOp> = {}): Promise<Answer> {
    return this.node.ask({ kind: 'renew', value, leaseRef, token, resources, ttlMs: TTL_MS, ...more });
  }

  repair(of: Attempt, more: Partial<RepairOp> = {}): Promise<Answer> {
    const bearing = { owner: 'w1', card: cardOf(of), binding: 0, progress: '' };
    return this.node.ask({ kind: 'repair', ...of, ttlMs: TTL_MS, ...bearing, ...more });
  }

  /** The reference of the lease that holds `resource` here, '' for nobody. */
  async holder(resource: string): Promise<string> {
    const answer = await this.node.ask({ kind: 'look', resource, history: 0 });
    if (answer.kind !== 'seen') throw new Error(`look was answered with ${JSON.stringify(answer)}`);
    return answer.view?.holder?.leaseRef ?? '';
  }

  close(): void {
    this.node.close();
  }
}

function cardOf({ resources }: Attempt): string {
  return JSON.stringify({ resources, mode: 'exclusive', ttlMs: TTL_MS, acquireTimeMs: 0, labels: {} });
}

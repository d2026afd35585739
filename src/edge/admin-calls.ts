/** The operator's calls: ForceRelease, Status and Reload. */

import { unary } from './calls.ts';
import { decodeForceRelease } from './decode.ts';
import { duration, encodeHolder } from './encode.ts';
import type { AdminServiceHandlers } from './gen/holdfast/v1/AdminService.ts';
import type { NodeStatus } from './gen/holdfast/v1/NodeStatus.ts';
import type { ReloadRequest__Output } from './gen/holdfast/v1/ReloadRequest.ts';
import type { ReloadResponse } from './gen/holdfast/v1/ReloadResponse.ts';
import type { StatusResponse } from './gen/holdfast/v1/StatusResponse.ts';
import { type CallContext, refused } from './lock-calls.ts';
import { isRefusal, notServed } from './status.ts';

const STATES = {
  ready: 'NODE_STATE_READY',
  silent: 'NODE_STATE_SILENT',
  quarantined: 'NODE_STATE_QUARANTINED',
  suspect: 'NODE_STATE_SUSPECT',
  refused: 'NODE_STATE_REFUSED',
} as const;

/** One node; the shape of the quorum's status, which this room may not import. */
export interface NodeHealth {
  readonly node: string;
  readonly state: keyof typeof STATES;
  readonly detail: string;
  readonly voteLatencyMs: number;
  readonly quarantineLeftMs: number;
  readonly clockOffsetMs: number;
  readonly floor: string;
}

export interface ServiceHealth {
  readonly embedded: boolean;
  readonly nodes: readonly NodeHealth[];
  readonly quorumMargin: number;
  readonly warnings: readonly string[];
}

export interface AdminContext extends CallContext {
  readonly version: string;
  status(): ServiceHealth;
}

export function adminCalls(context: AdminContext): AdminServiceHandlers {
  return {
    ForceRelease: unary(context, async (request) => {
      const ask = decodeForceRelease(request);
      if (isRefusal(ask)) return refused(context, 'force_release', ask);
      const answer = await context.locks.forceRelease(ask);
      return isRefusal(answer) ? answer : { freed: answer.freed.map(encodeHolder) };
    }),

    Status: unary(context, () => encodeStatus(context.status(), context.version, context.draining())),

    Reload: unary<ReloadRequest__Output, ReloadResponse>(context, () =>
      refused(context, 'reload', notServed('Reload')),
    ),
  };
}

export function encodeStatus(health: ServiceHealth, version: string, draining: boolean): StatusResponse {
  return {
    version,
    nodes: health.nodes.map(encodeNode),
    quorum_margin: health.quorumMargin,
    embedded: health.embedded,
    draining,
    warnings: [...health.warnings],
  };
}

function encodeNode(node: NodeHealth): NodeStatus {
  // A latency that is not above zero was never measured: the node has not answered yet.
  const answered = node.voteLatencyMs > 0;
  return {
    node: node.node,
    state: STATES[node.state],
    detail: node.detail,
    vote_latency: answered ? duration(node.voteLatencyMs) : null,
    quarantine_left: node.quarantineLeftMs > 0 ? duration(node.quarantineLeftMs) : null,
    clock_offset: answered && Number.isFinite(node.clockOffsetMs) ? duration(node.clockOffsetMs) : null,
    floor: node.floor,
  };
}

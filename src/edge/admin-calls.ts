/** The operator's calls: ForceRelease and Status, and what is done to the replica itself. */
import type { JanitorReport, Reloaded } from '../domain/operations.ts';
import type { Refusal } from '../domain/refusals.ts';
import type { Visit } from './access/visit.ts';
import { unary } from './calls.ts';
import { decodeForceRelease } from './decode.ts';
import { duration, encodeHolder } from './encode.ts';
import type { AdminServiceHandlers } from './gen/holdfast/v1/AdminService.ts';
import type { NodeStatus } from './gen/holdfast/v1/NodeStatus.ts';
import type { ReloadRequest__Output } from './gen/holdfast/v1/ReloadRequest.ts';
import type { ReloadResponse } from './gen/holdfast/v1/ReloadResponse.ts';
import type { RunJanitorRequest__Output } from './gen/holdfast/v1/RunJanitorRequest.ts';
import type { RunJanitorResponse } from './gen/holdfast/v1/RunJanitorResponse.ts';
import type { SetLogLevelRequest__Output } from './gen/holdfast/v1/SetLogLevelRequest.ts';
import type { SetLogLevelResponse } from './gen/holdfast/v1/SetLogLevelResponse.ts';
import type { StatusResponse } from './gen/holdfast/v1/StatusResponse.ts';
import { type CallContext, refused, turnedAway } from './lock-calls.ts';
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

/** What an operator may do to this replica beside its locks. */
export interface Operations {
  reload(): Promise<Reloaded | Refusal>;
  setLogLevel(level: string): { readonly kind: 'level'; readonly previous: string } | Refusal;
  runJanitor(dryRun: boolean): Promise<JanitorReport | Refusal>;
}

/** For an edge that stands alone. */
export const noOperations: Operations = {
  reload: async () => notServed('Reload'),
  setLogLevel: () => notServed('SetLogLevel'),
  runJanitor: async () => notServed('RunJanitor'),
};

export interface AdminContext extends CallContext {
  readonly version: string;
  readonly operations: Operations;
  status(): ServiceHealth;
}

const FINDINGS_MAX = 1000;

export function adminCalls(context: AdminContext): AdminServiceHandlers {
  return {
    ForceRelease: unary(context, async (request, { visit }) => {
      const ask = decodeForceRelease(request);
      if (isRefusal(ask)) return turnedAway(context, visit, 'force_release', ask);
      const answer = await visit.locks.forceRelease(ask);
      return isRefusal(answer) ? answer : { freed: answer.freed.map(encodeHolder) };
    }),

    Status: unary(context, (_, { visit }) => {
      const refusal = visit.mayAdmin('Status');
      if (refusal !== undefined) return refused(context, 'status', refusal);
      return encodeStatus(context.status(), context.version, context.draining());
    }),

    Reload: unary<ReloadRequest__Output, ReloadResponse>(context, async (_, { visit }) => {
      const refusal = visit.mayAdmin('Reload');
      if (refusal !== undefined) return refused(context, 'reload', refusal);
      const answer = await context.operations.reload();
      administered(visit, 'reload', answer, ({ changed }) => `changed: ${changed.join(', ') || 'nothing'}`);
      if (isRefusal(answer)) return refused(context, 'reload', answer);
      return { changed: [...answer.changed], restart_required: [...answer.restartRequired] };
    }),

    SetLogLevel: unary<SetLogLevelRequest__Output, SetLogLevelResponse>(context, ({ level }, { visit }) => {
      const refusal = visit.mayAdmin('SetLogLevel');
      if (refusal !== undefined) return refused(context, 'set_log_level', refusal);
      const answer = context.operations.setLogLevel(level);
      administered(visit, 'set_log_level', answer, ({ previous }) => `from ${previous} to ${level}`);
      return isRefusal(answer) ? refused(context, 'set_log_level', answer) : { previous: answer.previous };
    }),

    RunJanitor: unary<RunJanitorRequest__Output, RunJanitorResponse>(context, async (request, { visit }) => {
      const refusal = visit.mayAdmin('RunJanitor');
      if (refusal !== undefined) return refused(context, 'run_janitor', refusal);
      const answer = await context.operations.runJanitor(request.dry_run);
      administered(visit, 'run_janitor', answer, ({ found, findings }) => {
        const mended = findings.filter((finding) => finding.mended).length;
        return `${request.dry_run ? 'dry run: ' : ''}${found} found, ${mended} mended`;
      });
      if (isRefusal(answer)) return refused(context, 'run_janitor', answer);
      return {
        findings: answer.findings.slice(0, FINDINGS_MAX).map((finding) => ({ ...finding })),
        found: answer.found,
        looked_at: answer.lookedAt,
      };
    }),
  };
}

function administered<Answer extends object>(
  visit: Visit,
  action: string,
  answer: Answer | Refusal,
  detailOf: (done: Answer) => string,
): void {
  if (isRefusal(answer)) visit.administered(action, answer.reason, answer.message);
  else visit.administered(action, 'done', detailOf(answer));
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

/** AdminService.Status as a client reads it. */
import { describe, expect, test } from 'vitest';
import { encodeStatus, type ServiceHealth } from '../../../src/edge/admin-calls.ts';
import { loadContract } from '../../../src/edge/protos.ts';
import type { ClusterStatus } from '../../../src/quorum/status.ts';

const { admin } = loadContract();
type Method<Output> = {
  responseSerialize(message: never): Buffer;
  responseDeserialize(bytes: Buffer): Output;
};
const bytes = (method: Method<unknown>, message: object): Buffer =>
  method.responseSerialize(message as never);
const read = <Output>(method: Method<Output>, message: object): Output =>
  method.responseDeserialize(bytes(method, message));

describe('Status', () => {
  test('shows what is known and leaves out what is not', () => {
    const cluster: ClusterStatus = {
      embedded: false,
      quorumMargin: -1,
      warnings: ['HOLDFAST_BOOTSTRAP is still set'],
      nodes: [
        {
          node: 'a',
          state: 'ready',
          detail: '',
          voteLatencyMs: 0.25,
          quarantineLeftMs: 0,
          clockOffsetMs: -3,
          floor: '',
        },
        {
          node: 'b',
          state: 'quarantined',
          detail: 'new',
          voteLatencyMs: 1,
          quarantineLeftMs: 61_000,
          clockOffsetMs: 0,
          floor: 'clocks',
        },
        {
          node: 'c',
          state: 'silent',
          detail: 'down',
          voteLatencyMs: 0,
          quarantineLeftMs: 0,
          clockOffsetMs: 0,
          floor: '',
        },
      ],
    };
    // The edge may not import the quorum: this line holds the two shapes together.
    const health: ServiceHealth = cluster;
    const seen = read(admin.Status, encodeStatus(health, '0.1.0', true));
    expect(seen).toMatchObject({
      version: '0.1.0',
      quorum_margin: -1,
      draining: true,
      warnings: cluster.warnings,
    });
    expect(seen.nodes).toMatchObject([
      {
        state: 'NODE_STATE_READY',
        vote_latency: { nanos: 250_000 },
        quarantine_left: null,
        clock_offset: { nanos: -3_000_000 },
      },
      { state: 'NODE_STATE_QUARANTINED', quarantine_left: { seconds: '61' }, floor: 'clocks' },
      { state: 'NODE_STATE_SILENT', vote_latency: null, clock_offset: null, detail: 'down' },
    ]);
  });
});

/** The audit log of sampled calls: each line names the trace in which its act can be seen, whenever it is written. */
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { written } from '../harness/audit-log.ts';
import { Folder } from '../harness/certificates.ts';
import { HoldStream } from '../harness/lock-streams.ts';
import { OtlpReceiver } from '../harness/otlp-receiver.ts';
import { ReplicaProcess } from '../harness/replica.ts';
import { RpcClient } from '../harness/rpc-client.ts';

const folder = new Folder();
const audit = join(folder.path, 'audit.log');
let collector: OtlpReceiver;
let replica: ReplicaProcess;
let serial = 0;

beforeAll(async () => {
  collector = await OtlpReceiver.start();
  replica = await ReplicaProcess.start('', { ...collector.env, HOLDFAST_AUDIT_LOG: audit });
});
afterAll(async () => {
  await replica?.stop();
  collector?.close();
  folder.remove();
});

/** A client all of whose calls are parts of one trace, and what the audit log then says. */
function traced(sampled = true) {
  serial += 1;
  const id = String(serial).padStart(32, 'c');
  const shown = { traceparent: `00-${id}-${'b'.repeat(16)}-${sampled ? '01' : '00'}` };
  const client = new RpcClient(replica.address, { 'grpc.use_local_subchannel_pool': 1 }, shown);
  return { client, shown, traceId: sampled ? id : '' };
}

const NAME = 'traced/0';

test.each([true, false])('sampled: %s', async (sampled) => {
  const { client, shown, traceId } = traced(sampled);
  const sinceMs = Date.now();
  const first = await client.lock(NAME, { owner: 'one' });
  await written(audit, sinceMs, { action: 'acquire', owner: 'one', trace_id: traceId });
  expect(await client.release(first.lease_id)).toBe(true);
  await written(audit, sinceMs, { action: 'release', outcome: 'released', trace_id: traceId });
  expect(await client.release(first.lease_id)).toBe(false);
  await written(audit, sinceMs, { action: 'release', outcome: 'not_held', trace_id: traceId });
  await expect(client.lock('~', { owner: 'one' })).rejects.toThrow('INVALID_FIELD');
  await written(audit, sinceMs, { action: 'acquire', outcome: 'INVALID_FIELD', trace_id: traceId });

  // What stands there now is looked at when the call is over.
  await client.lock(NAME, { owner: 'forced' });
  await client.force({ resource: NAME, reason: 'it hangs' });
  await written(audit, sinceMs, { action: 'force_release', outcome: 'forced', trace_id: traceId });

  const hold = HoldStream.acquire(replica.address, NAME, { owner: 'stream' }, shown);
  await hold.granted();
  hold.cancel();
  const why = /^stream closed/;
  await written(audit, sinceMs, { action: 'release', owner: 'stream', why, trace_id: traceId });
  client.close();
});

test('a force-release is written down with the time at which it was done', async () => {
  const { client, traceId } = traced();
  const sinceMs = Date.now();
  await client.lock(NAME, { owner: 'timed' });
  await client.force({ resource: NAME, reason: 'it hangs' });
  const doneMs = Date.now();
  const line = await written(audit, sinceMs, { action: 'force_release', trace_id: traceId });
  expect(Date.parse(line.time)).toBeLessThanOrEqual(doneMs + 1);
  client.close();
});

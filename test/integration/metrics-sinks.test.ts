/** What fails beside the locks is counted where /metrics shows it: a log that throws, a stream and a receiver that are away. */
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';
import { Folder } from '../harness/certificates.ts';
import { EventStream } from '../harness/event-stream.ts';
import { Receiver } from '../harness/receiver.ts';
import { ReplicaProcess, TestReplica } from '../harness/replica.ts';
import { becomes, Samples } from '../harness/samples.ts';
import { repeat, until } from '../harness/until.ts';

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

test('an announcement that a sink failed to take is counted under that sink, and the others have it', async () => {
  const broken = fileURLToPath(new URL('../harness/broken-output.ts', import.meta.url));
  const replica = await ReplicaProcess.start('', { NODE_OPTIONS: `--import ${broken}` });
  closing.push(() => replica.stop());
  const failures = (sink: string): string => `holdfast_telemetry_failures_total{sink="${sink}"}`;
  await replica.client.lock('plain/0');
  expect((await Samples.of(replica.http)).value(failures('logs'))).toBe(0);
  await replica.client.force({ resource: 'plain/0', reason: 'to have it told' });
  await becomes(replica.http, {
    [failures('logs')]: 1,
    [failures('metrics')]: 0,
    'holdfast_forced_releases_total{class="other"}': 1,
  });
  // Nor does it cost the lock anything.
  expect((await replica.client.lock('plain/0')).resources).toEqual(['plain/0']);
});

test('events that a sink will never have are counted under that sink, as many as it is told of when it is back', async () => {
  const stream = await EventStream.start();
  closing.push(() => stream.server.stop());
  const replica = await TestReplica.start('', {
    HOLDFAST_EVENT_STREAM: stream.url,
    HOLDFAST_EVENT_BUFFER: '16',
  });
  closing.push(() => replica.stop());
  const { httpAddress } = replica.replica;
  const dropped = (sink: string): string => `holdfast_sink_dropped_total{sink="${sink}"}`;
  const pair = async (): Promise<void> => {
    expect(await replica.client.release((await replica.client.lock('plain/0')).lease_id)).toBe(true);
  };
  await pair();
  await until('both events have arrived', async () => (await stream.length()) === 2);
  expect((await Samples.of(httpAddress)).value(dropped('stream'))).toBe(0);
  await stream.server.kill();
  await repeat(100, pair);
  // How many go at once is the batches' affair; what stays buffered is less than half of the two hundred.
  await until(
    'events were dropped',
    async () => (await Samples.of(httpAddress)).value(dropped('stream')) > 100,
  );
  await stream.server.start();
  const missed = await until('each event has arrived or is told of as missed', async () => {
    const entries = await stream.entries();
    const told = entries.filter(({ type }) => type === 'missed');
    const sum = told.reduce((all, { count: more }) => all + Number(more), 0);
    return entries.length - told.length + sum === 202 && sum;
  });
  const samples = await Samples.of(httpAddress);
  // What found no room before any sink was asked is counted elsewhere.
  expect(samples.value(dropped('stream'))).toBe(missed - samples.value('holdfast_events_dropped_total'));
  expect(samples.value(dropped('memory'))).toBe(0);
});

test('alerts that were not delivered yet are counted under their channel until they are', async () => {
  const folder = new Folder();
  closing.push(() => folder.remove());
  const ops = await Receiver.start();
  closing.push(() => ops.close());
  ops.answer = () => 'hang';
  const channel = { name: 'ops', kind: 'webhook', url: ops.url, secret: ops.secret, timeout: '400ms' };
  const replica = await TestReplica.start('', {
    HOLDFAST_ALERTS: folder.write(
      'alerts.yaml',
      JSON.stringify({ group_interval: '0s', channels: [channel] }),
    ),
  });
  closing.push(() => replica.stop());
  const { httpAddress } = replica.replica;
  const pending = 'holdfast_alerts_pending{channel="ops"}';
  const tries = (outcome: string): string =>
    `holdfast_alert_deliveries_total{channel="ops",outcome="${outcome}"}`;
  expect((await Samples.of(httpAddress)).value(pending)).toBe(0);
  await repeat(3, async (n) => {
    await replica.client.lock(`plain/${n}`);
    await replica.client.force({ resource: `plain/${n}`, reason: 'to have it told' });
  });
  await becomes(httpAddress, { [pending]: 3, 'holdfast_alerts_total{kind="force_release"}': 3 });
  await until(
    'it was tried in vain',
    async () => (await Samples.of(httpAddress)).value(tries('retried')) > 0,
  );
  expect((await Samples.of(httpAddress)).value(pending)).toBe(3);
  ops.answer = () => 200;
  await becomes(httpAddress, { [pending]: 0, [tries('failed')]: 0 });
  expect((await Samples.of(httpAddress)).value(tries('delivered'))).toBeGreaterThan(0);
  expect(ops.messages.at(-1)?.data.kind).toBe('force_release');
});

/** Alerts of a whole service: several processes tell of a node once, and take a new file without a restart. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Nodes } from '../harness/nodes.ts';
import { Receiver } from '../harness/receiver.ts';
import { bootstrapped, ReplicaProcess, refusal } from '../harness/replica.ts';
import { until } from '../harness/until.ts';

const folder = mkdtempSync(join(tmpdir(), 'holdfast-alerts-'));
const file = join(folder, 'alerts.yaml');

let nodes: Nodes;
let first: Receiver;
let second: Receiver;
let replica: ReplicaProcess;

const write = ({ url, secret }: Receiver): void =>
  writeFileSync(
    file,
    `group_interval: 0s\nchannels:\n  - { name: ops, kind: webhook, url: "${url}", secret: "${secret}" }\n`,
  );

const kinds = (receiver: Receiver): string[] =>
  receiver.messages.map(({ data }) => `${data.kind} ${data.status} x${data.count}`);

async function force(name: string): Promise<void> {
  const { lease_ref } = await replica.client.lock(name);
  await replica.client.force({ resource: name, lease_ref, reason: 'test' });
}

beforeAll(async () => {
  nodes = await Nodes.start(3);
  await bootstrapped(nodes.list);
  [first, second] = [await Receiver.start(), await Receiver.start()];
  write(first);
  replica = await ReplicaProcess.start(nodes.list, { HOLDFAST_ALERTS: file, HOLDFAST_WORKERS: '2' });
});

afterAll(async () => {
  await replica?.stop();
  await first?.close();
  await second?.close();
  await nodes?.close();
  rmSync(folder, { recursive: true, force: true });
});

test('a node that is gone is told', async () => {
  await nodes.servers[2]!.kill();
  await until('it is told', () => kinds(first).includes('quorum_margin_zero firing x1'));
  await nodes.servers[2]!.restart({ empty: true });
  await until('it is told what came of it', () => kinds(first).includes('node_quarantined firing x1'));
});

test('a new file is taken by all workers; a wrong one is refused with its line, and the old one stays', async () => {
  await force('gpu/1');
  await until('the first receiver is told', () => kinds(first).includes('force_release event x1'));
  write(second);
  await replica.client.reload();
  await force('gpu/2');
  await until('the second one is told', () => kinds(second).includes('force_release event x1'));
  writeFileSync(file, 'channels:\n  - { name: ops, kind: pager }\n');
  const refused = await refusal(replica.client.reload());
  expect(refused.reason).toBe('INVALID_FIELD');
  expect(refused.message).toMatch(/HOLDFAST_ALERTS.*alerts\.yaml:2: channels\[0\]\.kind must be webhook/);
  await force('gpu/3');
  await until('the second one is told again', () => kinds(second).length === 2);
  expect(first.messages.some(({ data }) => JSON.stringify(data).includes('gpu/2'))).toBe(false);
  expect(replica.output).not.toMatch(/s3cret|whsec_/);
});

test('the margin was told by one of the workers alone, though both have seen it by now', () => {
  const told = [...kinds(first), ...kinds(second)].filter((kind) =>
    kind.startsWith('quorum_margin_zero firing'),
  );
  expect(told.length).toBe(1);
});

/** Each alert rule, evaluated by a real Prometheus over real replicas during the real fault; each webhook kind with it. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { run } from '../harness/grpcurl.ts';
import { HoldStream } from '../harness/lock-streams.ts';
import { Nodes } from '../harness/nodes.ts';
import { hastened, Prometheus, RULES, withoutPrometheus } from '../harness/prometheus.ts';
import { Receiver, type WebhookBody } from '../harness/receiver.ts';
import { bootstrapped, type Environment, RpcClient, refusal, span, TestReplica } from '../harness/replica.ts';
import { repeat, until } from '../harness/until.ts';

const env: Environment = { HOLDFAST_CLASSES: 'gpu/=gpu' };
const folder = mkdtempSync(join(tmpdir(), 'holdfast-alerts-'));
const at = (name: string): string => join(folder, name);

let nodes: Nodes;
let ops: Receiver;
let prometheus: Prometheus;
/** Janitor, archive and thresholds. */
let main: TestReplica;
/** An audit log on a small disk, an event stream to nobody, and a channel to nobody. */
let broken: TestReplica;
/** Callers need a token. */
let strict: TestReplica;

/** Over when no more comes for a while. */
const COUNTED = [
  'HoldfastForceRelease',
  'HoldfastLeaseLost',
  'HoldfastArchiveGap',
  'HoldfastAuditFailed',
  'HoldfastSinkFailing',
  'HoldfastAuthFailures',
];

const instanceOf = ({ replica }: TestReplica) => ({ instance: replica.httpAddress });

/** That a message of this kind and status came to the webhook, signed. */
async function told(kind: string, status: string, about = ''): Promise<WebhookBody> {
  const look = () =>
    ops.messages.find(
      ({ data }) => data.kind === kind && data.status === status && JSON.stringify(data).includes(about),
    );
  return until(`the webhook is told that ${kind} is ${status}`, look, 45_000, 50);
}

beforeAll(async () => {
  if (withoutPrometheus !== '') return;
  nodes = await Nodes.start(3);
  await bootstrapped(nodes.list, env);
  ops = await Receiver.start();
  const channel = (name: string, url: string, more = ''): string =>
    `  - { name: ${name}, kind: webhook, url: "${url}", secret: "${ops.secret}"${more} }\n`;
  writeFileSync(
    at('main.yaml'),
    'group_interval: 0s\nthresholds:\n  by_class:\n' +
      '    gpu: { held_too_long: 300ms, max_silence: 200ms, starving: 300ms }\n' +
      `channels:\n${channel('ops', ops.url)}`,
  );
  writeFileSync(
    at('broken.yaml'),
    `channels:\n${channel('ops', ops.url)}${channel('nobody', 'http://127.0.0.1:1/', ', give_up: 0s, events: [force_release]')}`,
  );
  writeFileSync(
    at('access.yaml'),
    `identities:\n  - { name: a, tokens: [{ name: t, sha256: "${'0'.repeat(64)}" }], allow: [{ verbs: [inspect] }] }\n`,
  );
  mkdirSync(at('disk'));
  const mounted = await run('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'none', at('disk')]);
  if (mounted.code !== 0) throw new Error(`a small tmpfs must be mounted, which takes root: ${mounted.err}`);
  main = await TestReplica.start(nodes.list, {
    ...env,
    HOLDFAST_ALERTS: at('main.yaml'),
    HOLDFAST_JANITOR: '1',
    HOLDFAST_JANITOR_EVERY: '200ms',
    HOLDFAST_EVENT_BUFFER: '64',
    HOLDFAST_ARCHIVE: `sqlite:${at('history.db')}`,
  });
  broken = await TestReplica.start(nodes.list, {
    ...env,
    HOLDFAST_ALERTS: at('broken.yaml'),
    HOLDFAST_AUDIT_LOG: at('disk/audit.log'),
    HOLDFAST_EVENT_STREAM: 'redis://127.0.0.1:1/0',
  });
  strict = await TestReplica.start(nodes.list, {
    ...env,
    HOLDFAST_ACCESS: at('access.yaml'),
    HOLDFAST_ALERTS: at('main.yaml'),
  });
  prometheus = await Prometheus.start([main, broken, strict].map(({ replica }) => replica.httpAddress));
});

afterAll(async () => {
  await prometheus?.stop();
  for (const replica of [main, broken, strict]) await replica?.stop();
  await ops?.close();
  await nodes?.close();
  if (withoutPrometheus === '') await run('umount', ['-l', at('disk')]);
  rmSync(folder, { recursive: true, force: true });
});

test('only the times of the rules are changed for these tests', () => {
  interface Rules {
    readonly groups: readonly { readonly rules: readonly Readonly<Record<string, unknown>>[] }[];
  }
  const shipped = parse(readFileSync(RULES, 'utf8')) as Rules;
  const quick = parse(hastened(readFileSync(RULES, 'utf8'))) as Rules;
  const timeless = ({ groups }: Rules) =>
    groups[0]!.rules.map(({ for: _, expr, ...rest }) => ({
      ...rest,
      expr: String(expr).replace(/\[\w+\]/g, '[]'),
    }));
  expect(timeless(quick)).toEqual(timeless(shipped));
  expect(timeless(shipped).length).toBe(12);
});

describe.runIf(withoutPrometheus === '')(`during the fault${withoutPrometheus}`, () => {
  test('at rest nothing fires', async () => {
    const quiet = ({ labels }: { labels: Readonly<Record<string, string>> }) =>
      labels.instance !== broken.replica.httpAddress;
    expect((await prometheus.alerts()).filter(quiet)).toEqual([]);
  });

  test('each metric of a rule is there from the start', async () => {
    const { text } = await main.http('/metrics');
    const rules = readFileSync(RULES, 'utf8');
    const named = new Set(rules.match(/\bholdfast_\w+(?=[{)[\] ])/g));
    expect(named.size).toBeGreaterThan(12);
    expect([...named].filter((name) => !new RegExp(`^${name}[{ ]`, 'm').test(text))).toEqual([]);
  });

  test('a lease ended by force', async () => {
    const { lease_ref } = await main.client.lock('plain/forced', { owner: 'trainer' });
    await main.client.force({ resource: 'plain/forced', lease_ref, reason: 'maintenance' });
    const alert = await prometheus.fires('HoldfastForceRelease', { class: 'other', ...instanceOf(main) });
    expect(alert.labels.severity).toBe('info');
    const { data } = await told('force_release', 'event', 'plain/forced');
    expect(data.alerts[0]).toMatchObject({ owner: 'trainer', reason: 'maintenance', lease_ref });
  });

  test('a lease that its holder lost', async () => {
    const { lease_id } = await main.client.lock('plain/lost', { ttl: span(100) });
    await nodes.free('plain/lost');
    expect((await refusal(main.client.heartbeat(lease_id))).reason).toBe('LEASE_LOST');
    await prometheus.fires('HoldfastLeaseLost', { class: 'other', reason: 'expired', ...instanceOf(main) });
    const { data } = await told('lease_lost', 'event', 'plain/lost');
    expect(JSON.stringify(data)).not.toContain(lease_id);
  });

  test('a holder that holds for too long and shows nothing, and a waiter behind it', async () => {
    const holder = HoldStream.acquire(main.replica.addresses[0]!, 'gpu/7', { owner: 'hung' });
    await until('it is held', () => holder.of('granted').length === 1);
    const waiter = HoldStream.acquire(main.replica.addresses[0]!, 'gpu/7', {
      owner: 'hungry',
      wait: span(60_000),
    });
    const alerts = [
      ['HoldfastHeldTooLong', 'held_too_long'],
      ['HoldfastSilentHolder', 'silent_holder'],
      ['HoldfastStarvingWaiter', 'starving_waiter'],
    ] as const;
    for (const [name, kind] of alerts) {
      await prometheus.fires(name, { class: 'gpu' });
      const { data } = await told(kind, 'firing', 'gpu/7');
      expect(data.alerts[0]).toMatchObject({
        class: 'gpu',
        owner: kind === 'starving_waiter' ? 'hungry' : 'hung',
      });
    }
    waiter.cancel();
    holder.cancel();
    for (const [name, kind] of alerts) {
      await prometheus.rests(name);
      await told(kind, 'resolved', 'gpu/7');
    }
  });

  test('a node that was emptied', async () => {
    await nodes.run(0, 'FLUSHALL');
    await prometheus.fires('HoldfastNodeQuarantined', { node: 'n1' });
    await told('node_quarantined', 'firing', 'n1');
    await prometheus.rests('HoldfastNodeQuarantined');
    await told('node_quarantined', 'resolved', 'n1');
    await main.becomes('ready', 'ready', 'ready');
  });

  test('a node that is killed, and a second one that hangs', async () => {
    await nodes.servers[2]!.kill();
    const zero = await prometheus.fires('HoldfastQuorumMarginZero', instanceOf(main));
    expect(zero.labels.severity).toBe('critical');
    await told('quorum_margin_zero', 'firing', '"margin":"0"');
    nodes.servers[1]!.pause();
    await prometheus.fires('HoldfastNoQuorum', instanceOf(main));
    await prometheus.rests('HoldfastQuorumMarginZero', instanceOf(main));
    nodes.servers[1]!.resume();
    await prometheus.rests('HoldfastNoQuorum', instanceOf(main));
    await nodes.servers[2]!.restart({ empty: true });
    await main.becomes('ready', 'ready', 'ready');
    await prometheus.rests('HoldfastQuorumMarginZero', instanceOf(main));
    await told('quorum_margin_zero', 'resolved');
  });

  test('an archive whose database is locked by somebody', async () => {
    const other = new DatabaseSync(at('history.db'));
    other.exec('BEGIN EXCLUSIVE');
    try {
      // More than may wait for it.
      await repeat(100, async (n) => {
        await main.client.release((await main.client.lock(`plain/${n}`)).lease_id);
      });
      await prometheus.fires('HoldfastArchiveGap', instanceOf(main));
      await told('archive_gap', 'firing', 'takes no events');
      await told('archive_gap', 'firing', 'are missing from the archive');
    } finally {
      other.exec('ROLLBACK');
      other.close();
    }
    await told('archive_gap', 'resolved');
  });

  test('an audit log whose disk is full, an event stream and a channel to nobody; locks go on', async () => {
    expect(() => writeFileSync(at('disk/filler'), Buffer.alloc(65_536))).toThrow(/ENOSPC/);
    // What is left of the log's last page takes a few lines.
    await repeat(20, async (n) => {
      await broken.client.release((await broken.client.lock(`plain/${n}`)).lease_id);
    });
    const { lease_ref } = await broken.client.lock('plain/unheard');
    await broken.client.force({ resource: 'plain/unheard', lease_ref, reason: 'test' });
    // All at once: what has come and gone while another was waited for would not be seen.
    const [critical] = await Promise.all([
      prometheus.fires('HoldfastAuditFailed', instanceOf(broken)),
      prometheus.fires('HoldfastSinkFailing', { channel: 'nobody', ...instanceOf(broken) }),
      prometheus.fires('HoldfastSinkFailing', { sink: 'stream', ...instanceOf(broken) }),
      told('audit_failed', 'firing'),
      told('sink_failing', 'firing', 'stream'),
    ]);
    expect(critical.labels.severity).toBe('critical');
    rmSync(at('disk/filler'));
  });

  test('callers that nobody knows, by the dozen', async () => {
    const client = new RpcClient(strict.replica.addresses[0]!);
    await repeat(60, async () => {
      expect((await refusal(client.acquire({ resources: ['plain/x'] }))).reason).toBe('UNAUTHENTICATED');
    });
    client.close();
    await prometheus.fires('HoldfastAuthFailures', instanceOf(strict));
    await told('auth_failures', 'firing');
  });

  test('when the faults are over nothing fires any more', async () => {
    await broken.stop();
    await Promise.all(COUNTED.map((name) => prometheus.rests(name)));
    const left = (await prometheus.alerts()).filter(({ state }) => state === 'firing');
    expect(left).toEqual([]);
  });
});

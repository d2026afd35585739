/** Traces as a collector receives them: short spans for grant and release, linked with each other and with who waited. */
import { credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { AcquireRequest } from '../../src/edge/gen/holdfast/v1/AcquireRequest.ts';
import type { AcquireResponse__Output as Acquired } from '../../src/edge/gen/holdfast/v1/AcquireResponse.ts';
import { Nodes } from '../harness/nodes.ts';
import { OtlpReceiver, type Received } from '../harness/otlp-receiver.ts';
import { bootstrapped, ReplicaProcess, span } from '../harness/replica.ts';
import { v1 } from '../harness/rpc-client.ts';
import { until } from '../harness/until.ts';

const ACQUIRE = 'holdfast.v1.LockService/Acquire';
const RELEASE = 'holdfast.v1.LockService/Release';
const HOLD = 'holdfast.v1.LockService/Hold';
const SESSION = 'holdfast.v1.LockService/Session';
const OWN = 'holdfast.release';
/** No lease ends by itself while a busy machine holds a test up. */
const TTL_MS = 30_000;

const ttls = { HOLDFAST_MAX_TTL: `${TTL_MS}ms`, HOLDFAST_DEFAULT_TTL: `${TTL_MS}ms` };

type Stub = InstanceType<typeof v1.LockService>;

let nodes: Nodes;
let collector: OtlpReceiver;
let replicas: ReplicaProcess[];
let one: Stub;
let two: Stub;
let serial = 0;

beforeAll(async () => {
  nodes = await Nodes.start(3);
  await bootstrapped(nodes.list, ttls);
  collector = await OtlpReceiver.start();
  // Whatever is no part of its caller's trace is not sampled.
  const env = { ...collector.env, OTEL_TRACES_SAMPLER: 'parentbased_always_off', ...ttls };
  replicas = await Promise.all([1, 2].map(() => ReplicaProcess.start(nodes.list, env)));
  [one, two] = replicas.map(({ address }) => new v1.LockService(address, credentials.createInsecure())) as [
    Stub,
    Stub,
  ];
});
afterAll(async () => {
  one?.close();
  two?.close();
  for (const replica of replicas ?? []) await replica.stop();
  collector?.close();
  await nodes?.close();
});

/** A trace of its own, and what a call of it sends. */
function trace(sampled = true): { readonly traceId: string; readonly metadata: Metadata } {
  serial += 1;
  const traceId = String(serial).padStart(32, 'a');
  const metadata = new Metadata();
  metadata.set('traceparent', `00-${traceId}-${'b'.repeat(16)}-${sampled ? '01' : '00'}`);
  return { traceId, metadata };
}

function acquire(
  stub: Stub,
  resource: string,
  metadata: Metadata,
  more: AcquireRequest = {},
): Promise<Acquired> {
  return new Promise((resolve, reject) => {
    const request = { resources: [resource], owner: `of ${resource}`, ttl: span(TTL_MS), ...more };
    stub.acquire(request, metadata, (error: ServiceError | null, answer?: Acquired) =>
      error === null ? resolve(answer!) : reject(error),
    );
  });
}

function release(stub: Stub, { lease }: Acquired, metadata = trace(false).metadata): Promise<void> {
  return new Promise((resolve, reject) => {
    stub.release({ lease_id: lease!.lease_id }, metadata, (error) =>
      error === null ? resolve() : reject(error),
    );
  });
}

/** What the lock says of the span in which it was granted. */
async function traceparentOf(resource: string): Promise<string | undefined> {
  return (await replicas[1]!.client.inspect(resource)).holders[0]?.traceparent;
}

/** A vote as the span of its call shows it: two nodes of three at least have answered so. */
function vote(op: string, carried: boolean, answer: string): unknown {
  const one = String.raw`\S+ ${answer} \d+\.\d\d ms`;
  const answers = expect.stringMatching(new RegExp(`^${one}(, ${one}){1,2}$`));
  return {
    name: `vote ${op}`,
    attributes: { 'holdfast.carried': String(carried), 'holdfast.answers': answers },
  };
}

const named = ({ traceId, spanId }: Received): string => `00-${traceId}-${spanId}-01`;

test('a grant is stored with the lock, and its release is linked to it', async () => {
  const [granting, freeing] = [trace(), trace()];
  const lease = await acquire(one, 'r', granting.metadata);
  const grant = await collector.span(granting.traceId, ACQUIRE);
  expect(grant.attributes).toMatchObject({ 'holdfast.op': 'acquire', 'holdfast.outcome': 'granted' });
  expect(await traceparentOf('r')).toBe(named(grant));
  await release(one, lease, freeing.metadata);
  expect(await collector.span(freeing.traceId, RELEASE)).toMatchObject({
    links: [`grant ${grant.spanId}`],
    attributes: { 'holdfast.outcome': 'released' },
  });
});

test('who has to wait is linked to the grant that was in its way, at another replica as well', async () => {
  const [holding, refused, waiting] = [trace(), trace(), trace()];
  const lease = await acquire(one, 'waited', holding.metadata);
  const grant = await collector.span(holding.traceId, ACQUIRE);
  expect((await acquire(two, 'waited', refused.metadata, { owner: 'w2' })).outcome).toBe('busy');
  const busy = await collector.span(refused.traceId, ACQUIRE);
  // To gRPC it is a good answer.
  expect(busy.attributes).toMatchObject({ 'holdfast.outcome': 'busy', 'rpc.response.status_code': 'OK' });
  expect(busy.links).toEqual([`holder ${grant.spanId}`]);
  expect(busy.events).toContainEqual(vote('hold', false, 'conflict'));
  const next = acquire(two, 'waited', waiting.metadata, { owner: 'w3', wait: span(10_000) });
  await until('it waits', async () => (await replicas[0]!.client.inspect('waited')).waiters.length === 1);
  await release(one, lease);
  await release(two, await next);
  expect(await collector.span(waiting.traceId, ACQUIRE)).toMatchObject({
    links: [`holder ${grant.spanId}`],
    attributes: { 'holdfast.outcome': 'granted' },
  });
});

test('who stands behind others and was never refused is linked to the holder all the same', async () => {
  const [holding, last] = [trace(), trace()];
  const lease = await acquire(one, 'line', holding.metadata);
  const grant = await collector.span(holding.traceId, ACQUIRE);
  const first = acquire(one, 'line', trace(false).metadata, { owner: 'w2', wait: span(10_000) });
  await until('it waits', async () => (await replicas[0]!.client.inspect('line')).waiters.length === 1);
  const ask = { resources: ['line'], owner: 'w3', ttl: span(TTL_MS), wait: span(10_000) };
  const second = one.hold({ acquire: ask }, last.metadata);
  second.on('error', () => {});
  const told = (): Promise<{ event?: string }> => new Promise((resolve) => second.once('data', resolve));
  // It hears where it stands when a look has shown who holds.
  expect((await told()).event).toBe('queued');
  await release(one, lease);
  await release(one, await first);
  await collector.span(last.traceId, HOLD);
  second.cancel();
  expect((await collector.span(last.traceId, HOLD)).links).toContain(`holder ${grant.spanId}`);
});

test('a Hold is two short spans: its grant, and the release as its stream ends', async () => {
  const holding = trace();
  const stream = one.hold(
    { acquire: { resources: ['held'], owner: 'h', ttl: span(TTL_MS) } },
    holding.metadata,
  );
  stream.on('error', () => {});
  await new Promise((resolve) => stream.once('data', resolve));
  // It does not last as long as the stream.
  const grant = await collector.span(holding.traceId, HOLD);
  expect(await traceparentOf('held')).toBe(named(grant));
  expect(collector.spans.some(({ name, traceId }) => name === OWN && traceId === holding.traceId)).toBe(
    false,
  );
  stream.cancel();
  const freed = await collector.span(holding.traceId, OWN);
  expect(freed).toMatchObject({ parentSpanId: grant.spanId, links: [`grant ${grant.spanId}`] });
});

test('the operations of a session are spans of the trace in which it was opened', async () => {
  const opened = trace();
  const stream = one.session(opened.metadata);
  stream.on('error', () => {});
  const answered = () =>
    new Promise<{ results: { acquire: Acquired | null }[] }>((resolve) => stream.once('data', resolve));
  stream.write({ ops: [{ seq: 1, acquire: { resources: ['s'], owner: 's', ttl: span(TTL_MS) } }] });
  const { lease_id } = (await answered()).results[0]!.acquire!.lease!;
  stream.write({ ops: [{ seq: 2, release: { lease_id } }] });
  await answered();
  const grant = await collector.span(opened.traceId, `${SESSION} acquire`);
  const freed = await collector.span(opened.traceId, `${SESSION} release`);
  for (const one of [grant, freed]) expect(one.parentSpanId).toBe('b'.repeat(16));
  expect(freed.links).toEqual([`grant ${grant.spanId}`]);
  expect(grant.events).toEqual([vote('hold', true, 'held')]);
  expect(freed.events).toEqual([vote('release', true, 'released')]);
  stream.cancel();
});

test('of what is not sampled nothing is kept and nothing is sent', async () => {
  const unseen = trace(false);
  const lease = await acquire(one, 'quiet', unseen.metadata);
  expect(await traceparentOf('quiet')).toBe('');
  const seen = trace();
  await release(one, lease, seen.metadata);
  expect((await collector.span(seen.traceId, RELEASE)).links).toEqual([]);
  const session = one.session(unseen.metadata);
  session.on('error', () => {});
  session.write({ ops: [{ seq: 1, acquire: { resources: ['q'], owner: 'q', ttl: span(TTL_MS) } }] });
  await new Promise((resolve) => session.once('data', resolve));
  session.cancel();
  // Whatever came before this has been sent.
  const after = trace();
  await release(one, await acquire(one, 'last', after.metadata));
  await collector.span(after.traceId, ACQUIRE);
  expect(collector.spans.filter(({ traceId }) => traceId === unseen.traceId)).toEqual([]);
});

test('a sampler that does not follow the parent is asked about each span', async () => {
  const env = { ...collector.env, OTEL_TRACES_SAMPLER: 'always_on', ...ttls };
  const replica = await ReplicaProcess.start(nodes.list, env);
  const stub = new v1.LockService(replica.address, credentials.createInsecure());
  try {
    const unsampled = trace(false);
    await acquire(stub, 'always', unsampled.metadata);
    const grant = await collector.span(unsampled.traceId, ACQUIRE);
    expect(grant.attributes['holdfast.outcome']).toBe('granted');
    expect(grant.events).toEqual([vote('hold', true, 'held')]);
    expect(await traceparentOf('always')).toBe(named(grant));
  } finally {
    stub.close();
    await replica.stop();
  }
});

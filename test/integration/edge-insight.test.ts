/** What the edge shows of itself: its contract by reflection, its calls by traces. */
import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { type Client, Metadata, type ServiceDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { systemRandom } from '../../src/std/random.ts';
import { acquireRequest, contract, Stage } from '../unit/edge/harness.ts';

const { locks: rpc } = contract;
let stage: Stage;

beforeEach(() => {
  stage = new Stage();
});
afterEach(() => stage.close());

describe('reflection', () => {
  const { resolve } = createRequire(import.meta.url);
  const protos = join(dirname(resolve('@grpc/reflection')), '../proto/grpc/reflection');

  type Answer = {
    listServicesResponse?: { service: { name: string }[] };
    fileDescriptorResponse?: { fileDescriptorProto: Buffer[] };
    errorResponse?: object;
  };
  const ask = (client: Client, version: string, question: object): Promise<Answer> =>
    new Promise((done, failed) => {
      const name = `grpc.reflection.${version}.ServerReflection`;
      const { [name]: service } = loadSync(join(protos, version, 'reflection.proto'), { longs: String });
      const { ServerReflectionInfo: method } = service as ServiceDefinition;
      const { path, requestSerialize, responseDeserialize } = method!;
      const stream = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
      stream.on('data', done);
      stream.on('error', failed);
      stream.end(question);
    });

  test.each(['v1', 'v1alpha'])('%s lists the services and describes each', async (version) => {
    const warned = vi.spyOn(console, 'warn');
    const client = stage.client((await stage.edge()).addresses[0]!);
    expect(warned).not.toHaveBeenCalled();
    const { listServicesResponse } = await ask(client, version, { listServices: '*' });
    const names = listServicesResponse?.service.map(({ name }) => name).sort();
    expect(names).toEqual(['grpc.health.v1.Health', 'holdfast.v1.AdminService', 'holdfast.v1.LockService']);
    for (const fileContainingSymbol of [...names!, 'holdfast.v1.AcquireRequest', 'holdfast.v1.Error']) {
      const answer = await ask(client, version, { fileContainingSymbol });
      expect(answer.fileDescriptorResponse?.fileDescriptorProto.length).toBeGreaterThan(0);
    }
  });
});

describe('a strict client that knows nothing but reflection', () => {
  const buf = createRequire(import.meta.url).resolve('@bufbuild/buf/bin/buf');

  test.each([
    ['grpc.health.v1.Health/Check', { service: '' }, '"status":"NOT_SERVING"'],
    [
      'holdfast.v1.LockService/Acquire',
      { resources: ['gpu/0'], owner: 'w1', ttl: '5s', labels: { a: 'b' } },
      '"labels":{"a":"b"}',
    ],
    ['holdfast.v1.AdminService/Status', {}, '"version":"0.1.0"'],
  ])('calls %s', async (method, request, part) => {
    const edge = await stage.edge();
    const url = `http://${edge.addresses[0]}/${method}`;
    const flags = ['--protocol', 'grpc', '--http2-prior-knowledge', '-d', JSON.stringify(request), url];
    // In a folder of its own: in ours buf would read the contract from disk.
    const cwd = await stage.folder();
    const { stdout } = await promisify(execFile)(buf, ['curl', ...flags], { cwd });
    expect(stdout.replace(/\s/g, '')).toContain(part);
  });
});

describe('tracing', () => {
  /** Everything that is begun is recorded, and what has ended is there to be read. */
  async function registered() {
    const { node, tracing } = await import('@opentelemetry/sdk-node');
    const { context, propagation, trace } = await import('@opentelemetry/api');
    const exporter = new tracing.InMemorySpanExporter();
    const provider = new node.NodeTracerProvider({
      sampler: new tracing.ParentBasedSampler({ root: new tracing.AlwaysOnSampler() }),
      spanProcessors: [new tracing.SimpleSpanProcessor(exporter)],
    });
    provider.register();
    stage.onClose(() => {
      trace.disable();
      context.disable();
      propagation.disable();
      return provider.shutdown();
    });
    return { exporter, trace };
  }

  test.each([
    { rootShare: undefined, draws: [], recorded: ['01', 'none', 'none', 'none'] },
    { rootShare: 0.5, draws: [0.7, 0.5, 0.49, 0.9, 0.9], recorded: ['none', '01'] },
    { rootShare: 0, draws: [0, 0, 0, 0, 0], recorded: ['01'] },
    { rootShare: 1, draws: [0.99, 0.99, 0.99, 0.9, 0.9], recorded: ['01', 'none', 'none', 'none'] },
  ])('a share of $rootShare is drawn among the calls that come without a trace', async (row) => {
    const { exporter, trace } = await registered();
    const draws = row.draws.values();
    const random = {
      bytes: systemRandom.bytes.bind(systemRandom),
      fraction: () => draws.next().value ?? 0,
    };
    const { addresses } = await stage.edge({
      tracing: { tracer: trace.getTracer('test'), rootShare: row.rootShare, random },
    });
    const client = stage.client(addresses[0]!);
    const { path, requestSerialize } = rpc.Acquire;
    for (const flags of ['none', 'none', 'none', '01', '00']) {
      const metadata = new Metadata();
      if (flags !== 'none') metadata.set('traceparent', `00-${'a'.repeat(32)}-${'b'.repeat(16)}-${flags}`);
      await new Promise((resolve) => {
        const request = acquireRequest() as never;
        client.makeUnaryRequest(path, requestSerialize, (b) => b, request, metadata, resolve);
      });
    }
    const told = () =>
      exporter
        .getFinishedSpans()
        .map(({ parentSpanContext: parent }) => (parent === undefined ? 'none' : '01'));
    await vi.waitFor(() => expect(told().sort()).toEqual(row.recorded.sort()), 10_000);
  });

  test('a recorded call is a server span that its caller’s trace contains', async () => {
    const { exporter, trace } = await registered();
    const seenInside: (string | undefined)[] = [];
    stage.locks.onAcquire = async (ask) => {
      await Promise.resolve();
      seenInside.push(trace.getActiveSpan()?.spanContext().traceId);
      return stage.locks.grant(ask);
    };
    const client = stage.client(
      (
        await stage.edge({
          tracing: { tracer: trace.getTracer('test'), rootShare: undefined, random: systemRandom },
        })
      ).addresses[0]!,
    );
    const from = async (flags: string, request: object): Promise<unknown> => {
      const metadata = new Metadata();
      metadata.set('traceparent', `00-${'a'.repeat(32)}-${'b'.repeat(16)}-${flags}`);
      const { path, requestSerialize } = rpc.Acquire;
      return new Promise((resolve) => {
        client.makeUnaryRequest(path, requestSerialize, (b) => b, request as never, metadata, resolve);
      });
    };
    await from('01', acquireRequest());
    await from('01', {});
    await from('00', acquireRequest());
    expect(seenInside).toEqual(['a'.repeat(32), undefined]);
    await vi.waitFor(() => expect(exporter.getFinishedSpans()).toHaveLength(2), 10_000);
    const [granted, refused] = exporter.getFinishedSpans();
    expect(granted).toMatchObject({
      name: 'holdfast.v1.LockService/Acquire',
      kind: 1,
      parentSpanContext: { spanId: 'b'.repeat(16) },
      attributes: {
        'rpc.system.name': 'grpc',
        'rpc.method': 'holdfast.v1.LockService/Acquire',
        'rpc.response.status_code': 'OK',
        'server.address': '127.0.0.1',
        'server.port': expect.any(Number),
        'network.peer.address': '127.0.0.1',
      },
    });
    // A caller's mistake is no fault of the server.
    expect(refused).toMatchObject({
      status: { code: 0 },
      attributes: { 'rpc.response.status_code': 'INVALID_ARGUMENT' },
    });
  });
});

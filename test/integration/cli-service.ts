/** A service that answers by script: what the commands are tried against when the answer matters, not the locks. */
import { fileURLToPath } from 'node:url';
import {
  loadPackageDefinition,
  Metadata,
  Server,
  ServerCredentials,
  type ServerWritableStream,
  type ServiceDefinition,
  type sendUnaryData,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { HealthImplementation } from 'grpc-health-check';
import protobuf from 'protobufjs';

const details = protobuf.parse(
  `syntax = "proto3";
  message Any { string type_url = 1; bytes value = 2; }
  message Status { int32 code = 1; string message = 2; repeated Any details = 3; }
  message Info { string reason = 1; string domain = 2; map<string, string> metadata = 3; }
  message Violation { string field = 1; string description = 2; }
  message Bad { repeated Violation field_violations = 1; }`,
  { keepCase: true },
).root;
const encode = (type: string, value: object) => details.lookupType(type).encode(value).finish();

function refusal(code: number, reason: string, message: string, field?: string) {
  const metadata = new Metadata();
  const any = (name: string, type: string, value: object) => ({
    type_url: `type.googleapis.com/google.rpc.${name}`,
    value: encode(type, value),
  });
  const parts = [any('ErrorInfo', 'Info', { reason, domain: 'holdfast', metadata: { why: 'expired' } })];
  if (field !== undefined) {
    parts.push(any('BadRequest', 'Bad', { field_violations: [{ field, description: 'breaks its rule' }] }));
  }
  metadata.set('grpc-status-details-bin', Buffer.from(encode('Status', { code, message, details: parts })));
  return { code, details: message, metadata };
}

const time = (seconds: number) => ({ seconds: String(seconds), nanos: 0 });
export const LEASE = {
  lease_id: 'hf1.AbCdEfGhIjKlMnOpQrStUv.7.30000.Z3B1LzA.abc',
  lease_ref: 'AbCdEfGhIjKlMnOp',
  fencing_token: '1800000000000007',
  owner: 'me',
  mode: 'MODE_EXCLUSIVE',
  ttl: { seconds: '30', nanos: 0 },
  acquire_time: time(1_800_000_000),
  expire_time: time(1_800_000_030),
};
const HOLDER = {
  resource: 'taken',
  owner: 'other',
  lease_ref: 'ref',
  fencing_token: '5',
  mode: 'MODE_SHARED',
  expire_time: time(4_000_000_000),
};
const RELEASED = {
  type: 'EVENT_TYPE_RELEASED',
  time: time(1_800_000_000),
  resource: 'taken',
  owner: 'other',
  lease_ref: 'ref',
  fencing_token: '5',
  reason: 'done',
};
const QUEUED = { type: 'EVENT_TYPE_QUEUED', time: time(1_800_000_001), resource: 'taken', owner: 'me' };

/** What was asked last, so that tests see what arrived. */
export const last: { asked: Record<string, unknown> } = { asked: {} };

/** As far as the script below looks at it. */
interface Asked extends Record<string, unknown> {
  readonly resources: readonly string[];
  readonly lease_id: string;
  readonly resource: string;
  readonly page_token: string;
}

type Answer = object | { readonly code: number; readonly details: string } | undefined;

/** Each question chooses its answer by the name it carries; undefined: never answers. */
const SCRIPT: Record<string, (request: Asked) => Answer> = {
  Acquire: ({ resources, owner, labels }) => {
    const [name] = resources;
    if (name === 'taken') return { busy: { holders: [HOLDER], retry_after: { seconds: '2', nanos: 0 } } };
    if (name === 'waited') {
      return { busy: { holders: [HOLDER], queue_length: 4, position: 2, wait_elapsed: true } };
    }
    if (name === 'full') return refusal(8, 'TOO_MANY_WAITERS', 'the line is full');
    if (name === 'any') return { lease: { ...LEASE, resources: resources.slice(1, 3), mode: 'MODE_SHARED' } };
    if (name === 'no-quorum') return refusal(14, 'NO_QUORUM', '1 of 3 lock nodes answered');
    if (name === 'bad') return refusal(3, 'INVALID_FIELD', 'ttl is too long', 'ttl');
    if (name === 'deadlock') return refusal(10, 'DEADLOCK', 'a waits for b');
    if (name === 'denied') return refusal(7, 'DENIED', 'you may not');
    return name === 'slow' ? undefined : { lease: { ...LEASE, resources, owner, labels } };
  },
  Heartbeat: ({ lease_id }) =>
    lease_id === LEASE.lease_id ? { lease: LEASE } : refusal(9, 'LEASE_LOST', 'the lease is gone'),
  Release: ({ lease_id }) => ({ released: lease_id === LEASE.lease_id }),
  Inspect: ({ resource }) =>
    resource === 'unknown'
      ? refusal(5, 'UNKNOWN_RESOURCE', 'no node knows it')
      : {
          resource,
          state: 'STATE_HELD',
          source: 'SOURCE_LIVE',
          last_token: '5',
          holders: [HOLDER],
          waiters: [
            { owner: 'me', position: 1, priority: 3, since: time(1_800_000_000), mode: 'MODE_SHARED' },
            { owner: 'you', position: 2, since: time(1_800_000_000), mode: 'MODE_EXCLUSIVE' },
          ],
          nodes: [{ node: 'a:1', vote: 'VOTE_HELD', fence: '5', lease_ref: 'ref' }],
          history: [{ type: 'EVENT_TYPE_GRANTED', time: time(1_800_000_000), resource, owner: 'other' }],
        },
  List: ({ page_token }) =>
    page_token === ''
      ? { locks: [{ resource: 'a', state: 'STATE_HELD', holders: [HOLDER] }], next_page_token: 'more' }
      : { locks: [{ resource: 'b', state: 'STATE_UNKNOWN', queue_length: 2 }] },
  ForceRelease: () => ({ freed: [HOLDER] }),
  Status: () => ({
    version: '0.1.0',
    quorum_margin: -1,
    nodes: [{ node: 'a:1', state: 'NODE_STATE_SILENT', detail: 'timeout' }],
    warnings: ['HOLDFAST_BOOTSTRAP was left set'],
  }),
};

/** Two messages, then nothing more; `bad` and `away` are refused. */
function watch(call: ServerWritableStream<Asked, object>): void {
  last.asked = call.request;
  const [name] = call.request.resources;
  if (name === 'bad') call.emit('error', refusal(3, 'INVALID_FIELD', 'is no name', 'resources[0]'));
  else if (name === 'away') call.emit('error', refusal(14, 'DRAINING', 'this replica is shutting down'));
  else {
    call.write({ events: [QUEUED] });
    call.write({ events: [RELEASED], missed: 3 });
  }
}

export async function startService(): Promise<{ address: string; stop(): void }> {
  const loaded = loadSync(['holdfast/v1/lock.proto', 'holdfast/v1/admin.proto'], {
    keepCase: true,
    longs: String,
    enums: String,
    defaults: true,
    oneofs: true,
    includeDirs: [fileURLToPath(new URL('../../proto/', import.meta.url))],
  });
  const { v1 } = (
    loadPackageDefinition(loaded) as unknown as {
      holdfast: { v1: Record<string, { service: ServiceDefinition }> };
    }
  ).holdfast;
  const server = new Server();
  for (const name of ['LockService', 'AdminService']) {
    const { service } = v1[name]!;
    const handlers = Object.keys(service)
      .filter((rpc) => SCRIPT[rpc] !== undefined)
      .map((rpc) => [
        rpc,
        ({ request }: { request: Asked }, done: sendUnaryData<object>) => {
          last.asked = request;
          const answer = SCRIPT[rpc]!(request);
          if (answer === undefined) return;
          if ('code' in answer) done(answer as never);
          else done(null, answer);
        },
      ]);
    if (name === 'LockService') handlers.push(['Watch', watch as never]);
    server.addService(service, Object.fromEntries(handlers));
  }
  new HealthImplementation({ '': 'SERVING', down: 'NOT_SERVING' }).addToServer(server);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  return { address: `127.0.0.1:${port}`, stop: () => server.forceShutdown() };
}

/** One process that takes one lock and keeps it as its service or library would have it, until it is killed. */
import { setInterval as every } from 'node:timers/promises';
import { Client, credentials, type ServiceDefinition } from '@grpc/grpc-js';
import { Redis } from 'ioredis';
import Redlock from 'redlock';
import type { HoldRequest } from '../../src/edge/gen/holdfast/v1/HoldRequest.ts';
import type { HoldResponse__Output } from '../../src/edge/gen/holdfast/v1/HoldResponse.ts';
import { serveParent } from './children.ts';
import { connectEtcd } from './etcd-calls.ts';
import { lockService } from './light-calls.ts';
import { LightSession } from './light-session.ts';

export type HolderKind = 'hold' | 'session' | 'etcd' | 'redlock';

const [kind = '', lock = '', ttl = '0', ...addresses] = (process.argv[2] ?? '').split(' ');
const ttlS = Number(ttl);
const [address = ''] = addresses;

/** As a worker in TypeScript would: grpc-js, and nothing done but to read the stream. */
function hold(): Promise<void> {
  const { Hold } = lockService() as ServiceDefinition;
  const client = new Client(address, credentials.createInsecure());
  const request: HoldRequest = {
    acquire: { resources: [lock], owner: `holder-${lock}`, ttl: { seconds: String(ttlS), nanos: 0 } },
  };
  const stream = client.makeServerStreamRequest<HoldRequest, HoldResponse__Output>(
    Hold!.path,
    Hold!.requestSerialize,
    Hold!.responseDeserialize,
    request,
  );
  return new Promise((resolve, reject) => {
    stream.on('data', ({ granted }: HoldResponse__Output) => granted != null && resolve());
    stream.on('error', reject);
  });
}

async function session(): Promise<void> {
  const open = new LightSession(address);
  await open.acquire(lock, `holder-${lock}`, ttlS);
}

/** Kept alive three times within its ttl, as etcd's own clients do; a call of one message and one answer does it. */
async function etcd(): Promise<void> {
  const { grant, keepAlive, lock: take } = await connectEtcd(address);
  const { ID: lease } = await grant({ TTL: String(ttlS) });
  await take({ name: Buffer.from(lock), lease });
  void (async () => {
    for await (const _ of every((ttlS * 1000) / 3)) await keepAlive({ ID: lease });
  })();
}

/** `using` extends the lock by itself shortly before its end. */
function redlock(): Promise<void> {
  const nodes = addresses.map((url) => new Redis(url));
  const library = new Redlock(nodes as unknown as ConstructorParameters<typeof Redlock>[0]);
  return new Promise((resolve, reject) => {
    const forever = async (): Promise<void> => {
      resolve();
      await new Promise(() => {});
    };
    library.using([lock], ttlS * 1000, forever).catch(reject);
  });
}

const take: Readonly<Record<HolderKind, () => Promise<void>>> = { hold, session, etcd, redlock };
await take[kind as HolderKind]();
serveParent({}, () => ({}));

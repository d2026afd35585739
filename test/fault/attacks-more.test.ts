/** Attacks by those who were let in once: calls that were opened and kept for later, streams behind a reload, limits that a stream steps over. */
import { once } from 'node:events';
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from 'node:http2';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadContract } from '../../src/edge/protos.ts';
import { Folder } from '../harness/certificates.ts';
import { all, GovernedSite, type Person } from '../harness/governed.ts';
import { settingsFor, TestReplica } from '../harness/replica.ts';
import { refusal, span } from '../harness/rpc-client.ts';
import { until } from '../harness/until.ts';

const contract = loadContract();
const UNAUTHENTICATED = '16';
const people: readonly Person[] = [
  { name: 'ops', allow: all },
  { name: 'leaver', allow: all },
  { name: 'viewer', allow: [{ prefixes: ['gpu/'], verbs: ['inspect'] }] },
  { name: 'brief', allow: all, quota: { max_ttl: '2s' } },
  { name: 'acme', tenant: 'acme', allow: all },
];

let site: GovernedSite;
let session: ClientHttp2Session;
const folder = new Folder();

beforeAll(async () => {
  site = await GovernedSite.open(people, '', {
    HOLDFAST_ARCHIVE: `sqlite:${join(folder.path, 'archive.db')}`,
    HOLDFAST_MIN_TTL: '1s',
  });
  session = connect(`http://${site.replica.replica.addresses[0]!}`);
});

afterAll(async () => {
  session.destroy();
  await site.close();
  folder.remove();
});

const without = (...names: string[]): readonly Person[] => people.filter(({ name }) => !names.includes(name));

/** Its headers alone: what is asked comes later, or never. */
function begun(on: ClientHttp2Session, path: string, authorization?: string): ClientHttp2Stream {
  const stream = on.request({
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/grpc',
    te: 'trailers',
    ...(authorization === undefined ? {} : { authorization }),
  });
  stream.on('error', () => {});
  return stream;
}

async function ended(stream: ClientHttp2Stream): Promise<string> {
  let status = '';
  stream.on('response', (headers) => {
    status = String(headers['grpc-status'] ?? status);
  });
  stream.on('trailers', (headers) => {
    status = String(headers['grpc-status'] ?? status);
  });
  stream.resume();
  if (!stream.closed) await once(stream, 'close');
  return status;
}

function framed(message: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** The service has seen all that was sent before on this connection. */
async function seenAll(on: ClientHttp2Session): Promise<void> {
  const call = begun(on, '/grpc.health.v1.Health/Check');
  call.end(framed(Buffer.alloc(0)));
  expect(await ended(call)).toBe('0');
}

const acquiring = (resource: string): Buffer =>
  framed(contract.locks.Acquire.requestSerialize({ resources: [resource], owner: 'x' } as never));

describe('without a token, past every client', () => {
  const reflection = ['v1', 'v1alpha'].map(
    (version) => `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`,
  );
  const served = [...Object.values(contract.locks), ...Object.values(contract.admin)].map(({ path }) => path);

  test.each([...served, ...reflection])('%s is refused', async (path) => {
    const attack = () => {
      const call = begun(session, path);
      const status = ended(call);
      // Empty is a message of each of them.
      call.end(framed(Buffer.alloc(0)));
      return status;
    };
    const sinceMs = Date.now();
    expect(await attack()).toBe(UNAUTHENTICATED);
    const detail = new RegExp(`\\(${path.slice(1)}\\)`);
    await site.written(sinceMs, { action: 'authenticate', outcome: 'UNAUTHENTICATED', detail }, attack);
  });

  test.each([
    '/grpc.health.v1.Health/../../holdfast.v1.AdminService/Status',
    '/grpc.health.v1.Health/Status',
    '/holdfast.v1.AdminService/status',
    '//holdfast.v1.AdminService/Status',
  ])('%s is nothing at all', async (path) => {
    const call = begun(session, path);
    const status = ended(call);
    call.end(framed(Buffer.alloc(0)));
    expect(await status).toBe('12');
  });
});

describe('a call whose headers were sent while its caller was known', () => {
  const acquireLater = () => begun(session, contract.locks.Acquire.path, `Bearer ${site.token('leaver')}`);

  test('is not served behind a reload that has taken the caller away', async () => {
    const early = acquireLater();
    const status = ended(early);
    await seenAll(session);
    await site.change(without('leaver'), 'ops');
    const sinceMs = Date.now();
    early.end(acquiring('kept/for-later'));
    expect(await status).toBe(UNAUTHENTICATED);
    await site.written(sinceMs, { action: 'authenticate', outcome: 'UNAUTHENTICATED' });
    await site.change(people, 'ops');
    const { locks } = await site.by('ops').client.list({ prefix: 'kept/' });
    expect(locks).toEqual([]);
  });

  test('has the rules of now', async () => {
    const early = acquireLater();
    const status = ended(early);
    await seenAll(session);
    await site.change(
      people.map((one) => (one.name === 'leaver' ? { ...one, allow: [] } : one)),
      'ops',
    );
    const sinceMs = Date.now();
    early.end(acquiring('kept/for-later'));
    expect(await status).toBe('7');
    await site.written(sinceMs, { action: 'acquire', outcome: 'DENIED', identity: 'leaver' });
    await site.change(people, 'ops');
  });

  test('is served where nothing has changed for its caller', async () => {
    const early = acquireLater();
    const status = ended(early);
    await seenAll(session);
    await site.change(without('viewer'), 'ops');
    early.end(acquiring('kept/served'));
    expect(await status).toBe('0');
    await site.change(people, 'ops');
  });

  test('is not served as anybody’s where callers are asked for since', async () => {
    const open = await TestReplica.start('');
    const on = connect(`http://${open.replica.addresses[0]!}`);
    const [early, other] = [begun(on, contract.locks.Acquire.path), begun(on, contract.locks.Acquire.path)];
    const statuses = [ended(early), ended(other)];
    await seenAll(on);
    early.end(acquiring('open/now'));
    expect(await statuses[0]).toBe('0');
    const access = folder.write('later.yaml', JSON.stringify({ identities: [{ name: 'ops', allow: all }] }));
    const settings = settingsFor('', { HOLDFAST_ACCESS: access });
    const reading = { ok: true, settings, warnings: [] } as const;
    expect(await open.replica.reload(() => reading)).toMatchObject({ kind: 'reloaded' });
    other.end(acquiring('open/later'));
    expect(await statuses[1]).toBe(UNAUTHENTICATED);
    on.destroy();
    await open.stop();
  });
});

test('a Watch hears nothing more of names that a reload has forbidden, and is told that it misses something', async () => {
  const viewer = await site.by('viewer').watch({ prefix: 'gpu/' });
  const ops = await site.by('ops').watch({ prefix: 'gpu/' });
  await site.by('ops').client.lock('gpu/before');
  await until('it is told', () => viewer.events.length === 1);
  await site.change(
    people.map((one) => (one.name === 'viewer' ? { ...one, allow: [] } : one)),
    'ops',
  );
  await site.by('ops').client.lock('gpu/after');
  await until('it misses one', () => viewer.missed === 1);
  await until('who may look is told', () => ops.events.length === 2);
  expect(viewer.events.map(({ resource }) => resource)).toEqual(['gpu/before']);
  await site.change(people, 'ops');
});

test('a grace keeps a lease no longer than the longest ttl of its identity', async () => {
  const acquire = (name: string) => ({ resources: [name], owner: 'x', ttl: span(1000) });
  const long = site.by('ops').hold({ acquire: acquire('grace/long'), grace: span(20_000) });
  const brief = site.by('brief').hold({ acquire: acquire('grace/brief'), grace: span(20_000) });
  await Promise.all([long.granted(), brief.granted()]);
  long.cancel();
  brief.cancel();
  const { client } = site.by('ops');
  await until('it is free', async () => (await client.inspect('grace/brief')).holders.length === 0, 10_000);
  expect((await client.inspect('grace/long')).holders).toHaveLength(1);
});

describe('a lease id with another ttl written into it', () => {
  test.each([
    ['5', 1],
    ['3600000', 20],
  ])('%s ms: is renewed by one that the service allows', async (ttl, seconds) => {
    const { client } = site.by('ops');
    const lease = await client.lock(`ttl/${ttl}`, { ttl: span(10_000) });
    const parts = lease.lease_id.split('.').slice(0, 5);
    const forged = parts.with(3, ttl).join('.');
    const hold = site.by('ops').hold({ resume_lease_id: `${forged}.${crc32(forged).toString(36)}` });
    expect(await hold.granted()).toMatchObject({ ttl: { seconds: String(seconds) } });
    expect(await client.release(lease.lease_id)).toBe(true);
  });
});

test('the history of a tenant’s owner is nobody else’s, not even where a page of it ends', async () => {
  const acme = site.by('acme').client;
  for (const name of ['one', 'two']) {
    const lease = await acme.lock(`past/${name}`, { owner: 'secret-owner' });
    await acme.release(lease.lease_id);
  }
  const mine = () => acme.history({ owner: 'secret-owner', page_size: 3 });
  await until('it is in the archive', async () => (await mine()).next_page_token !== '');
  const { client } = site.by('ops');
  for (const owner of ['~acme/secret-owner', '~acme/nobody']) {
    const sinceMs = Date.now();
    expect(await refusal(client.history({ owner, page_size: 3 }))).toMatchObject({ reason: 'INVALID_FIELD' });
    await site.written(sinceMs, { action: 'history', outcome: 'INVALID_FIELD', identity: 'ops' });
  }
  const said = await client.history({ owner: 'secret-owner', page_size: 3 });
  expect(said).toMatchObject({ events: [], next_page_token: '' });
});

/** What becomes of callers when the access file changes, or the keys of an issuer do not come; and wrong files. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { AuthScene, TTL_MS, UNAUTHENTICATED } from '../harness/auth-scene.ts';
import { KeyServer } from '../harness/key-server.ts';
import { HoldStream, SessionStream } from '../harness/lock-streams.ts';
import type { TestReplica } from '../harness/replica.ts';
import { refusal, span } from '../harness/rpc-client.ts';
import { bearer } from '../harness/shown.ts';
import { until } from '../harness/until.ts';

let scene: AuthScene;
let plain: TestReplica;
let at = '';

beforeAll(async () => {
  scene = await AuthScene.open();
  plain = await scene.replica();
  [at = ''] = plain.replica.addresses;
});
afterEach(() => scene.end());
afterAll(() => scene?.close());

describe('while the keys of an issuer do not come', () => {
  test('a call ends at its deadline or its cancellation, and others go on', async () => {
    const slow = await KeyServer.start();
    scene.onEnd(() => slow.close());
    slow.behaviour = 'hangs';
    const access = scene.folder.write('slow.yaml', scene.access(scene.tokens, slow.url));
    const replica = await scene.replica({ HOLDFAST_ACCESS: access });
    const to = replica.replica.addresses[0]!;
    const by = scene.client(bearer(await slow.sign({ sub: 'one' })), to);
    const late = by.acquire({ resources: ['late'] }, { deadline: Date.now() + 200 });
    await expect(late).rejects.toMatchObject({ code: 4 });
    const { call, ended } = by.acquireCall({ resources: ['left'] });
    const patient = by.lock('patient');
    await scene.lock(scene.client(bearer(scene.known), to));
    call.cancel();
    expect((await ended)?.code).toBe(1);
    slow.proceed();
    await patient;
    const { locks } = await scene.client(bearer(scene.known), to).list({});
    expect(locks.map(({ resource }) => resource)).toEqual([scene.last, 'patient']);
  });
});

describe('another access file', () => {
  const reload = () => scene.reload(plain);
  const restore = async (): Promise<void> => {
    scene.folder.write('access.yaml', scene.access());
    await reload();
  };

  test('ends the streams of those that are gone, leaves their leases, and nobody else feels it', async () => {
    const to = at;
    const acquire = (name: string) => ({ acquire: { resources: [name], owner: 'x', ttl: span(TTL_MS) } });
    const mine = new HoldStream(to, acquire('gone/hold'), bearer(scene.known));
    const session = new SessionStream(to, bearer(scene.known));
    const other = new HoldStream(to, acquire('other/hold'), bearer(scene.second));
    scene.onEnd(() => other.cancel());
    await Promise.all([mine.granted(), session.lock('gone/session', { ttl: span(TTL_MS) }), other.granted()]);
    scene.onEnd(restore);
    scene.folder.write('access.yaml', scene.access('[]'));
    expect(await reload()).toMatchObject({ kind: 'reloaded', changed: ['HOLDFAST_ACCESS'] });
    expect(await mine.over()).toMatchObject({ code: UNAUTHENTICATED, reason: 'UNAUTHENTICATED' });
    expect(await until('the session ends', () => session.ended)).toMatchObject({ code: UNAUTHENTICATED });
    expect(await refusal(scene.lock(scene.client(bearer(scene.known), at)))).toMatchObject({
      metadata: { why: 'unknown' },
    });
    const by = scene.client(bearer(scene.second), at);
    const { locks } = await by.list({ prefix: 'gone/' });
    expect(locks.map(({ resource }) => resource)).toEqual(['gone/hold', 'gone/session']);
    expect(other.ended).toBeUndefined();
    await scene.lock(by);
    await until('it keeps one lease', async () => (await plain.metric('holdfast_kept_leases')) === 1);
  });

  test('that is wrong changes nothing, and says where', async () => {
    scene.onEnd(restore);
    scene.folder.write('access.yaml', scene.access().replace('name: two', 'name: one'));
    expect(await reload()).toMatchObject({
      kind: 'refusal',
      fields: [
        { field: 'HOLDFAST_ACCESS', description: expect.stringMatching(/^identities\[1\].name: .*twice/) },
      ],
    });
    await scene.lock(scene.client(bearer(scene.known), at));
    await scene.lock(scene.client(bearer(scene.second), at));
  });

  test('with the same contents is no change', async () => {
    expect(await reload()).toMatchObject({ kind: 'reloaded', changed: [] });
  });
});

describe('at the start', () => {
  test('a file that cannot be read or understood is named with every problem', async () => {
    const bad = scene.folder.write('bad.yaml', 'identities: [{ name: "a b", allow: 1, what: 2 }]');
    const start = (access: string) => scene.replica({ HOLDFAST_ACCESS: access });
    await expect(start('/not/there.yaml')).rejects.toThrow(
      /^HOLDFAST_ACCESS: "\/not\/there.yaml" cannot be read \(ENOENT\)$/,
    );
    await expect(start(bad)).rejects.toThrow(
      /name: must be a name.*\n.*allow: must be a list\n.*unknown key what/,
    );
  });
});

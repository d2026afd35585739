/** A replica that drains loses no lease of its streams: it tells them, renews until they have left, and then ends well. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Cable } from '../harness/cable.ts';
import { HoldingProcess } from '../harness/holding.ts';
import { HoldStream, machineMs, SessionStream } from '../harness/lock-streams.ts';
import type { Environment, ReplicaProcess } from '../harness/replica.ts';
import { expireMs, type Lease, refusal, span } from '../harness/rpc-client.ts';
import { Scene } from '../harness/scene.ts';
import { until } from '../harness/until.ts';

const TTL_MS = 4000;
const ttl = span(TTL_MS);
const WAIT = { seconds: 50 };
/** Of a busy machine. */
const SLACK_MS = 5000;
const REFUSED = { code: 14, reason: 'DRAINING', retryAfter: true };

let scene: Scene;
let other: ReplicaProcess;
const closing: (() => unknown)[] = [];

beforeAll(async () => {
  scene = await Scene.open();
  other = await scene.process();
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});
afterAll(() => scene.close());

async function drainable(env: Environment): Promise<ReplicaProcess> {
  const replica = await scene.process(env);
  closing.push(() => replica.stop());
  return replica;
}

function stream<Opened extends HoldStream | SessionStream>(opened: Opened): Opened {
  closing.push(() => opened.cancel());
  return opened;
}

const current = async (...leases: readonly Lease[]): Promise<boolean[]> =>
  Promise.all(
    leases.map(
      async ({ resources, fencing_token }) =>
        (await other.client.checkToken(resources[0]!, fencing_token)).current,
    ),
  );

/** When whoever has it now asked for it: before any node can have let it have it. */
const takenMs = ({ acquire_time }: Lease): number =>
  Number(acquire_time!.seconds) * 1000 + acquire_time!.nanos / 1e6;

/** Nobody renews these any more: the next one gets each when its promise is over, and not before. */
async function expire(...leases: readonly Lease[]): Promise<void> {
  const next = leases.map(({ resources }) => other.client.lock(resources[0]!, { owner: 'next', wait: WAIT }));
  for (const [at, lease] of (await Promise.all(next)).entries()) {
    expect(takenMs(lease)).toBeGreaterThanOrEqual(expireMs(leases[at]!));
    expect(takenMs(lease)).toBeLessThan(expireMs(leases[at]!) + TTL_MS + SLACK_MS);
  }
}

describe('SIGTERM', () => {
  /** A replica with streams of each kind, those that keep leases and those that wait, all of which it has told. */
  async function draining(of: string) {
    const replica = await drainable({ HOLDFAST_DRAIN_TIMEOUT: '60s' });
    const at = replica.address;
    const taken = `${of}/taken`;
    const held = stream(HoldStream.acquire(other.address, taken, { ttl }));
    await held.granted();
    const holds = ['hold/moves', 'hold/leaves'].map((name) =>
      stream(HoldStream.acquire(at, `${of}/${name}`, { ttl })),
    );
    const session = stream(new SessionStream(at));
    const leases = [
      ...(await Promise.all(holds.map((hold) => hold.granted()))),
      await session.lock(`${of}/session/moves`, { ttl }),
      await session.lock(`${of}/session/leaves`, { ttl }),
    ];
    const waitingHold = stream(HoldStream.acquire(at, taken, { owner: 'hold', wait: WAIT }));
    await scene.queued(taken, 1);
    const ask = { resources: [taken], wait: WAIT };
    const [waitingOp] = session.ask([{ acquire: { ...ask, owner: 'op' } }]);
    await scene.queued(taken, 2);
    const waitingCall = refusal(replica.client.acquire({ ...ask, owner: 'call' }));
    await scene.queued(taken, 3);
    replica.signal('SIGTERM');
    return { replica, holds, session, leases, waitingHold, waitingOp: waitingOp!, waitingCall };
  }

  test('is told to every stream; who waits or asks is refused, and what is held stays and is renewed', async () => {
    const { replica, holds, session, leases, waitingHold, waitingOp, waitingCall } = await draining('told');
    for (const hold of holds) {
      const { remaining } = await hold.first('draining');
      expect(Number(remaining!.seconds)).toBeGreaterThan(40);
      expect(Number(remaining!.seconds)).toBeLessThan(60);
    }
    await until('the session is told', () => session.of('draining').length === 1);
    expect(session.of('draining')[0]).toMatchObject({ seq: '0', lease_id: '' });

    expect(await waitingHold.over()).toMatchObject(REFUSED);
    const op = await session.refused(waitingOp);
    expect(op).toMatchObject({ code: 14, reason: 'DRAINING' });
    expect(op.retry_after).not.toBeNull();
    expect(await waitingCall).toMatchObject(REFUSED);
    await scene.queued('told/taken', 0);

    expect(await refusal(replica.client.acquire({ resources: ['free'] }))).toMatchObject(REFUSED);
    expect(await stream(HoldStream.acquire(replica.address, 'free')).over()).toMatchObject(REFUSED);
    expect(await stream(HoldStream.resume(replica.address, leases[0]!)).over()).toMatchObject(REFUSED);
    expect(await stream(new SessionStream(replica.address)).over()).toMatchObject(REFUSED);
    const asked = session.ask([
      { acquire: { resources: ['free'], owner: 'session' } },
      { resume: { lease_id: leases[0]!.lease_id } },
      { heartbeat: { lease_id: leases[2]!.lease_id } },
    ]);
    for (const seq of asked.slice(0, 2)) expect((await session.refused(seq)).reason).toBe('DRAINING');
    expect((await session.result(asked[2]!)).result).toBe('heartbeat');

    await Promise.all(holds.map((hold) => hold.renewals(3)));
    const renewed = (lease_id: string) =>
      session.of('renewed').filter((event) => event.lease_id === lease_id).length;
    for (const { lease_id } of leases.slice(2)) expect(renewed(lease_id)).toBeGreaterThan(0);
    expect(await current(...leases)).toEqual([true, true, true, true]);
    expect(holds.flatMap((hold) => [...hold.of('lost'), hold.ended])).toEqual([undefined, undefined]);
    expect(replica.output).not.toMatch(/"defect|a call failed/);
  });

  test('lets clients resume elsewhere with the same token, and ends with 0 when the last stream has left', async () => {
    const { replica, holds, session, leases } = await draining('moved');
    const startedMs = machineMs();
    const [moves, leaves] = holds as [HoldStream, HoldStream];
    await Promise.all([moves.first('draining'), leaves.first('draining')]);
    await until('the session is told', () => session.of('draining').length === 1);
    const next = stream(HoldStream.resume(other.address, leases[0]!));
    expect((await next.granted()).fencing_token).toBe(leases[0]!.fencing_token);
    const nextSession = stream(new SessionStream(other.address));
    const [seq] = nextSession.ask([{ resume: { lease_id: leases[2]!.lease_id } }]);
    expect((await nextSession.result(seq!)).resume?.fencing_token).toBe(leases[2]!.fencing_token);
    // Whose lease has moved is not told a loss, and is not held on to.
    expect(await moves.over()).toMatchObject(REFUSED);
    expect(moves.of('lost')).toEqual([]);

    const stays = [leaves.lease, leases[3]!];
    leaves.cancel();
    session.halfClose();
    expect(await session.over()).toBe('OK');
    expect(session.of('lost')).toEqual([]);
    expect(await replica.ended()).toBe(0);
    expect(machineMs() - startedMs).toBeLessThan(30_000);
    // No end of any stream has released anything.
    expect(await current(...leases)).toEqual([true, true, true, true]);
    await expire(...stays);
    await next.renewals(1);
    expect(await current(leases[0]!, leases[2]!)).toEqual([true, true]);
    for (const told of [next, nextSession]) expect(told.ended).toBeUndefined();
  });

  test('ends with 0 when its time is up, whoever has not left, and their leases stand until they expire', async () => {
    const LIMIT_MS = 3000;
    const replica = await drainable({ HOLDFAST_DRAIN_TIMEOUT: `${LIMIT_MS}ms` });
    const [host, port] = replica.address.split(':') as [string, string];
    const cable = await Cable.to({ host, port: Number(port) });
    closing.push(() => cable.close());
    const end = cable.where as { host: string; port: number };
    const asked = (name: string) => ({
      hold: { acquire: { resources: [name], owner: name, ttl } },
      ttlMs: TTL_MS,
    });
    const stopped = await HoldingProcess.start(replica.address, asked('stays/stopped'));
    closing.push(() => stopped.kill());
    const cut = stream(HoldStream.acquire(`${end.host}:${end.port}`, 'stays/cut', { ttl }));
    const deaf = stream(HoldStream.acquire(replica.address, 'stays/deaf', { ttl }));
    const session = stream(new SessionStream(replica.address));
    const leases = [
      stopped.lease,
      await cut.granted(),
      await deaf.granted(),
      await session.lock('stays/session', { ttl }),
    ];
    await stopped.stop();
    cable.cut('in');
    cable.cut('out');
    const startedMs = machineMs();
    replica.signal('SIGTERM');
    await deaf.first('draining');
    expect(await replica.ended()).toBe(0);
    const tookMs = machineMs() - startedMs;
    expect(tookMs).toBeGreaterThan(LIMIT_MS / 3);
    expect(tookMs).toBeLessThan(LIMIT_MS + SLACK_MS);
    expect(await current(...leases)).toEqual([true, true, true, true]);
    expect(await deaf.over()).toMatchObject(REFUSED);
    expect(await session.over()).toMatchObject(REFUSED);
    // What became of the others' promises only the nodes know; these two were told.
    const told = session.of('renewed').filter(({ lease_id }) => lease_id === leases[3]!.lease_id);
    await expire(leases[0]!, leases[1]!, deaf.lease, told.at(-1)?.renewed ?? leases[3]!);
  });
});

/** Attacks on another tenant: on its leases by their ids and names, on its names by every view, by tricks with names. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { HoldStream, SessionStream } from '../harness/lock-streams.ts';
import { refusal } from '../harness/replica.ts';
import { until } from '../harness/until.ts';
import { INVALID, LOST, lastOf, TELLTALE, UNKNOWN, Victim } from '../harness/victim.ts';
import { WatchReader } from '../harness/watching.ts';

let victim: Victim;

beforeAll(async () => {
  victim = await Victim.open();
});

afterAll(() => victim.site.close());

const rival = () => victim.site.by('rival');
const trainer = () => victim.site.by('trainer');

describe("another tenant's lease", () => {
  test('is neither released nor renewed by its id', async () => {
    await victim.notHeld('rival', victim.lease.lease_id);
    await victim.refused('rival', 'heartbeat', () => rival().heartbeat(victim.lease.lease_id), LOST);
  });

  test('is not taken over by its id: Hold', async () => {
    const resumed = () =>
      lastOf(
        new HoldStream(
          victim.site.address,
          { resume_lease_id: victim.lease.lease_id },
          victim.site.as('rival'),
        ),
      );
    const line = { action: 'resume', outcome: 'LEASE_LOST' };
    expect(await victim.audited('rival', resumed, line)).toMatchObject(LOST);
  });

  test.each(['heartbeat', 'release', 'resume'] as const)(
    'is not taken over by its id: Session, %s',
    async (op) => {
      const session = new SessionStream(victim.site.address, victim.site.as('rival'));
      const { lease_id } = victim.lease;
      const attack = () => {
        const [seq = ''] = session.ask([{ [op]: { lease_id } }]);
        return session.result(seq);
      };
      const outcome = op === 'release' ? 'not_held' : 'LEASE_LOST';
      const result = await victim.audited('rival', attack, { action: op, outcome });
      if (op === 'release') expect(result.release).toMatchObject({ released: false });
      else expect(result.error).toMatchObject({ reason: 'LEASE_LOST' });
      expect(JSON.stringify(result)).not.toMatch(TELLTALE);
      session.cancel();
    },
  );

  test('is not ended by its public name', async () => {
    const { freed } = await victim.audited(
      'rival',
      () => rival().force({ resource: 'gpu/0', lease_ref: victim.lease.lease_ref, reason: 'mine' }),
      { action: 'force_release', outcome: 'not_held', why: 'mine' },
    );
    expect(freed).toEqual([]);
    await victim.refused(
      'rival',
      'force_release',
      () =>
        rival().force({
          resource: 'model/secret-project',
          lease_ref: victim.secret.lease_ref,
          reason: 'mine',
        }),
      UNKNOWN,
    );
  });

  test('of the same name stands beside: both hold their gpu/0', async () => {
    expect(await trainer().heartbeat(victim.lease.lease_id)).toMatchObject({ owner: 'trainer-1' });
    expect(await rival().heartbeat(victim.rivals.lease_id)).toMatchObject({ owner: 'rival-1' });
    expect(await rival().checkToken('gpu/0', victim.lease.fencing_token)).toMatchObject({ current: false });
  });

  test('is not met by its request id', async () => {
    const lease = await rival().lock('gpu/7', { owner: 'trainer-1', request_id: 'same-request' });
    expect(lease.replayed).toBe(false);
    await rival().release(lease.lease_id);
  });
});

describe("another tenant's names", () => {
  test('are unknown to Inspect and CheckToken', async () => {
    await victim.refused('rival', 'inspect', () => rival().inspect('model/secret-project'), UNKNOWN);
    await victim.refused(
      'rival',
      'history',
      () => rival().history({ resource: 'model/secret-project' }),
      UNKNOWN,
    );
    await victim.refused(
      'rival',
      'check_token',
      () => rival().checkToken('model/secret-project', victim.secret.fencing_token),
      UNKNOWN,
    );
  });

  test('are in no list, and in no page after another one', async () => {
    const page = await rival().list({ page_size: 1 });
    const rest = await rival().list({ page_size: 1000 });
    expect(JSON.stringify([page, rest])).not.toMatch(TELLTALE);
    expect(rest.locks.map(({ resource }) => resource)).toEqual(['gpu/0']);
    const ops = await victim.site.by('ops').list({ page_size: 1000 });
    expect(JSON.stringify(ops)).not.toMatch(/trainer-1|rival-1|~/);
  });

  test('are not had by a page token of their tenant', async () => {
    const second = await trainer().lock('gpu/2', { owner: 'trainer-1' });
    const { next_page_token: token } = await trainer().list({ prefix: 'gpu/', page_size: 1 });
    expect(token).not.toBe('');
    const told = await rival().list({ prefix: 'gpu/', page_size: 1, page_token: token }).catch(String);
    expect(JSON.stringify(told)).not.toMatch(TELLTALE);
    expect(JSON.stringify(told)).not.toContain('gpu/2');
    await trainer().release(second.lease_id);
  });

  test.each<[string, string]>([
    ['as they are stored', '~acme/gpu/0'],
    ['by a way up', '../acme/gpu/0~'],
    ['with an escaped slash', 'gpu%2f0'],
    ['behind a zero byte', 'gpu/0\u0000~acme/gpu/0'],
    ['behind a line end', 'gpu/0\n~acme/gpu/0'],
    ['in letters that look alike', 'gpu\u2215' + '0'],
    ['with a mark that is not seen', 'gpu/0\u200b'],
    ['with a space behind', 'gpu/0 '],
  ])('are not had %s', async (_, name) => {
    await victim.refused('rival', 'acquire', () => rival().acquire({ resources: [name] }), INVALID);
    await victim.refused('rival', 'inspect', () => rival().inspect(name), INVALID);
    await victim.refused('rival', 'list', () => rival().list({ prefix: name }), INVALID);
  });

  test('are not heard of by Watch, and nor is what its own rules do not allow', async () => {
    const all = await new WatchReader().open(victim.site.address, {}, victim.site.as('rival'));
    const short = await trainer().lock('gpu/5', { owner: 'trainer-1' });
    await trainer().release(short.lease_id);
    const own = await rival().lock('gpu/6', { owner: 'rival-1' });
    await rival().release(own.lease_id);
    await until('its own release is told', () =>
      all.events.some(({ type }) => type === 'EVENT_TYPE_RELEASED'),
    );
    expect(all.events.every(({ resource }) => resource === 'gpu/6')).toBe(true);
    expect(JSON.stringify(all.events)).not.toMatch(TELLTALE);
    all.close();
  });

  test("cannot be borrowed as an owner's", async () => {
    for (const [by, name] of [
      ['rival', 'gpu/8'],
      ['plain', 'free/8'],
    ] as const) {
      const borrowed = { resources: [name], owner: '~acme/trainer-1' };
      await victim.refused(by, 'acquire', () => victim.site.by(by).acquire(borrowed), INVALID);
    }
  });

  test('stay unsaid in a deadlock of equal owners', async () => {
    const mine = await rival().lock('gpu/20', { owner: 'trainer-1' });
    const wait = { seconds: 0, nanos: 50e6 };
    const longer = { seconds: 20 };
    // Its owner waits for itself in name only: acme's trainer-1 holds gpu/0 of acme.
    expect(await rival().acquire({ resources: ['gpu/0'], owner: 'trainer-1', wait })).toMatchObject({
      busy: { wait_elapsed: true },
    });
    const cycle = await refusal(rival().acquire({ resources: ['gpu/20'], owner: 'trainer-1', wait: longer }));
    expect(cycle).toMatchObject({ reason: 'DEADLOCK' });
    expect(JSON.stringify(cycle)).not.toMatch(/~|acme|bravo/);
    await rival().release(mine.lease_id);
  });
});

test('after all of it the victim has what it had', () => victim.survived());

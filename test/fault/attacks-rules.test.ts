/** Attacks by those who are somebody and want more: leases of neighbours, forged ids, names and calls beyond their rules. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { formatLeaseId, parseLeaseId } from '../../src/domain/lease.ts';
import type { Person } from '../harness/attack-site.ts';
import type { AuditWish } from '../harness/audit-log.ts';
import { HoldStream, SessionStream } from '../harness/lock-streams.ts';
import { type Refused, refusal } from '../harness/replica.ts';
import { DENIED, LOST, lastOf, Victim } from '../harness/victim.ts';

let victim: Victim;

beforeAll(async () => {
  victim = await Victim.open();
});

afterAll(() => victim.site.close());

const rival = () => victim.site.by('rival');
const neighbour = () => victim.site.by('neighbour');
const trainer = () => victim.site.by('trainer');

describe('a lease id', () => {
  test('is of no use to a neighbour of the same tenant', async () => {
    await victim.notHeld('neighbour', victim.lease.lease_id);
    await victim.refused('neighbour', 'heartbeat', () => neighbour().heartbeat(victim.lease.lease_id), LOST);
    await victim.notHeld('ops', victim.lease.lease_id);
  });

  test('that was released is not good again', async () => {
    const lease = await trainer().lock('gpu/9', { owner: 'trainer-9' });
    expect(await trainer().release(lease.lease_id)).toBe(true);
    await victim.notHeld('trainer', lease.lease_id);
    const lost = { code: 9, reason: 'LEASE_LOST' };
    await victim.refused('trainer', 'heartbeat', () => trainer().heartbeat(lease.lease_id), lost);
  });

  test('with another name in it, and the right checksum, moves nothing', async () => {
    const parsed = parseLeaseId(victim.lease.lease_id)!;
    const forged = formatLeaseId({ ...parsed, resources: ['gpu/1'] });
    await victim.refused('trainer', 'heartbeat', () => trainer().heartbeat(forged), LOST);
    await victim.notHeld('trainer', forged);
    const raised = formatLeaseId({ ...parsed, token: parsed.token + 1_000_000n });
    await victim.notHeld('trainer', raised);
  });
});

describe('more than the rules allow', () => {
  test.each<[string, Person, () => Promise<unknown>, AuditWish]>([
    [
      'a name beyond its prefixes',
      'neighbour',
      () => neighbour().acquire({ resources: ['model/a'] }),
      { action: 'acquire' },
    ],
    [
      'one of several beyond them',
      'neighbour',
      () => neighbour().acquire({ resources: ['gpu/1', 'model/a'] }),
      { action: 'acquire' },
    ],
    [
      'any of several, one beyond them',
      'neighbour',
      () => neighbour().acquire({ resources: ['gpu/1', 'model/a'], any: 1 }),
      { action: 'acquire' },
    ],
    [
      'the prefix without its slash',
      'neighbour',
      () => neighbour().acquire({ resources: ['gpu'] }),
      { action: 'acquire' },
    ],
    [
      'the prefix in other letters',
      'neighbour',
      () => neighbour().acquire({ resources: ['GPU/0'] }),
      { action: 'acquire' },
    ],
    [
      'a slash before the prefix',
      'neighbour',
      () => neighbour().acquire({ resources: ['/gpu/0'] }),
      { action: 'acquire' },
    ],
    [
      'a lock for one who may only look',
      'reader',
      () => victim.site.by('reader').acquire({ resources: ['gpu/1'] }),
      { action: 'acquire' },
    ],
    [
      'a look beyond its prefixes',
      'neighbour',
      () => neighbour().inspect('model/secret-project'),
      { action: 'inspect' },
    ],
    ['a list of everything', 'neighbour', () => neighbour().list(), { action: 'list' }],
    ['a list of a shorter prefix', 'neighbour', () => neighbour().list({ prefix: 'gp' }), { action: 'list' }],
    [
      "force at a neighbour's lease",
      'neighbour',
      () => neighbour().force({ resource: 'gpu/0', reason: 'mine' }),
      { action: 'force_release' },
    ],
    [
      "force by the neighbour's lease_ref",
      'neighbour',
      () => neighbour().force({ resource: 'gpu/0', lease_ref: victim.lease.lease_ref, reason: 'mine' }),
      { action: 'force_release' },
    ],
    ['Status', 'trainer', () => trainer().status(), { action: 'status' }],
    ['Reload', 'trainer', () => trainer().reload(), { action: 'reload' }],
    ['SetLogLevel', 'trainer', () => trainer().setLogLevel('silent'), { action: 'set_log_level' }],
    ['Reload by the admin of a tenant', 'rival', () => rival().reload(), { action: 'reload' }],
    ['Status by the admin of a tenant', 'rival', () => rival().status(), { action: 'status' }],
  ])('%s is denied and written down', async (_, by, attack, line) => {
    await victim.denied(by, attack, line);
  });

  test('a Hold and a Session are denied what a call is', async () => {
    const acquire = { resources: ['model/a'], owner: 'x' };
    const line = { action: 'acquire', outcome: 'DENIED', owner: 'x' };
    const held = () => lastOf(new HoldStream(victim.site.address, { acquire }, victim.site.as('neighbour')));
    expect(await victim.audited('neighbour', held, line)).toMatchObject(DENIED);
    const session = new SessionStream(victim.site.address, victim.site.as('neighbour'));
    const asked = () => {
      const [seq = ''] = session.ask([{ acquire }]);
      return session.result(seq);
    };
    expect((await victim.audited('neighbour', asked, line)).error).toMatchObject(DENIED);
    session.cancel();
  });

  test('a refusal of a name that exists is the same as of one that does not', async () => {
    const real = await refusal(neighbour().inspect('model/secret-project'));
    const made = await refusal(neighbour().inspect('model/never-was-there'));
    const plain = (told: Refused) => JSON.stringify(told).replaceAll(/model\/[a-z-]+/g, 'model/X');
    expect(plain(real)).toBe(plain(made));
  });

  test('what the rules allow is served: the own lease by force, and all of it by ops', async () => {
    const own = await neighbour().lock('gpu/11', { owner: 'n' });
    const { freed } = await neighbour().force({
      resource: 'gpu/11',
      lease_ref: own.lease_ref,
      reason: 'hangs',
    });
    expect(freed).toMatchObject([{ lease_ref: own.lease_ref }]);
    expect(await victim.site.by('ops').status()).toMatchObject({ draining: false });
    const free = await victim.site.by('plain').lock('free/1', { owner: 'p' });
    expect(await victim.site.by('ops').force({ resource: 'free/1', reason: 'test' })).toMatchObject({
      freed: [{ lease_ref: free.lease_ref }],
    });
  });

  test('and without rules all of it is served', async () => {
    const open = await victim.site.unguarded();
    expect(await open.status()).toMatchObject({ draining: false });
    const lease = await open.lock('model/a');
    expect((await open.force({ resource: 'model/a', reason: 'no rules' })).freed).toHaveLength(1);
    expect(await open.release(lease.lease_id)).toBe(false);
  });
});

test('after all of it the victim has what it had', () => victim.survived());

/** Who was refused is told and counted, and when the certificate ends; files here, no sockets. */
import { rmSync } from 'node:fs';
import { afterAll, describe, expect, test } from 'vitest';
import { type Act, silentProbe } from '../../../../src/domain/probe.ts';
import { Failure } from '../../../../src/edge/access/authenticator.ts';
import { Security, type SecurityPaths } from '../../../../src/edge/security.ts';
import { ManualClock } from '../../../../src/std/clock.ts';
import { Authority, Folder } from '../../../harness/certificates.ts';

const DAY_MS = 86_400_000;
const START_MS = 1_800_000_000_000;
const folder = new Folder();
const ca = new Authority();
afterAll(() => rmSync(folder.path, { recursive: true, force: true }));

function tls(daysLeft: number): SecurityPaths {
  const { cert, key } = ca.server({
    notBeforeMs: START_MS - DAY_MS,
    notAfterMs: START_MS + daysLeft * DAY_MS,
  });
  return {
    tlsCert: folder.write(`cert-${daysLeft}.pem`, cert),
    tlsKey: folder.write(`key-${daysLeft}.pem`, key),
    tlsClientAuth: 'none',
  };
}

function open(settings: SecurityPaths = { tlsClientAuth: 'none' }) {
  const clock = new ManualClock(START_MS * 1000);
  const acts: Act[] = [];
  const counted: string[] = [];
  const notices: string[] = [];
  const until: number[] = [];
  const probe = {
    ...silentProbe,
    acted: (act: Act) => void acts.push(act),
    notice: (_: string, message: string) => void notices.push(message),
  };
  const security = new Security({
    settings,
    probe,
    clock,
    onFailure: (reason) => counted.push(reason),
    onCertificate: (untilMs) => until.push(untilMs),
  });
  return { security, clock, acts, counted, notices, until };
}

describe('a refused caller', () => {
  test('is told of with all that an auditor asks for, and nothing secret', () => {
    const { security, acts, counted } = open();
    security.refused(new Failure('unknown', 'no identity has this token'), '10.0.0.1:5', 'x/Acquire');
    expect(acts).toEqual([
      {
        timeMs: START_MS,
        action: 'authenticate',
        ...{ identity: '', tenant: '', peer: '10.0.0.1:5', resources: [], owner: '', leaseRef: '', why: '' },
        outcome: 'UNAUTHENTICATED',
        detail: 'unknown: no identity has this token (x/Acquire)',
        traceId: '',
      },
    ]);
    expect(counted).toEqual(['unknown']);
  });

  test('is counted always, and told of no more than twenty times a second', () => {
    const { security, clock, acts, counted } = open();
    const refuse = (): void => security.refused(new Failure('missing', 'no credentials'), '', '');
    for (let at = 0; at < 500; at += 1) refuse();
    expect([acts.length, counted.length]).toEqual([20, 500]);
    clock.advance(1000);
    refuse();
    refuse();
    expect(acts.slice(20).map(({ detail }) => detail)).toEqual([
      'missing: no credentials; 480 more changed nothing and were not told of',
      'missing: no credentials',
    ]);
  });
});

describe('the certificate', () => {
  test('that ends soon is warned of at once and every day, in Status as long as it is so', () => {
    const { security, clock, notices, until } = open(tls(10));
    expect(security.warnings).toEqual([
      expect.stringMatching(/^HOLDFAST_TLS_CERT expires soon: valid until 2027/),
    ]);
    expect(until).toEqual([START_MS + 10 * DAY_MS]);
    clock.advance(2 * DAY_MS);
    expect(notices).toHaveLength(3);
    clock.advance(9 * DAY_MS);
    expect(security.warnings[0]).toMatch(/has expired/);
    security.destroyAll();
  });

  test('that is good for long is no news until two weeks before its end', () => {
    const { security, clock, notices } = open(tls(16));
    expect([security.warnings, notices]).toEqual([[], []]);
    clock.advance(2 * DAY_MS);
    expect(security.warnings).toHaveLength(1);
    expect(notices).toHaveLength(1);
  });

  test('is changed by a reload, and the warning goes', () => {
    const { security, until } = open(tls(10));
    const next = security.prepare(tls(90));
    expect(security.warnings).toHaveLength(1);
    if ('problems' in next) throw new Error(JSON.stringify(next));
    expect(next.commit()).toEqual(['HOLDFAST_TLS_CERT', 'HOLDFAST_TLS_KEY']);
    expect(security.warnings).toEqual([]);
    expect(until.at(-1)).toBe(START_MS + 90 * DAY_MS);
  });

  test('of clients can be asked for from a reload on, and not cease to be asked for by one', () => {
    const plain = tls(10);
    const asking: SecurityPaths = {
      ...plain,
      tlsClientCa: folder.write('ca.pem', ca.cert),
      tlsClientAuth: 'require',
    };
    const { security } = open(plain);
    const next = security.prepare(asking);
    if ('problems' in next) throw new Error(JSON.stringify(next));
    next.commit();
    expect(security.prepare({ ...plain, tlsClientAuth: 'require' })).toMatchObject({
      problems: [{ field: 'HOLDFAST_TLS_CLIENT_CA', description: expect.stringMatching(/cease.*restart/) }],
    });
    expect(security.prepare(asking)).not.toHaveProperty('problems');
  });

  test('cannot come or go while the service runs', () => {
    for (const [now, next] of [
      [tls(10), { tlsClientAuth: 'none' }],
      [{ tlsClientAuth: 'none' }, tls(10)],
    ] as const) {
      expect(open(now).security.prepare(next)).toMatchObject({
        problems: [{ field: 'HOLDFAST_TLS_CERT', description: expect.stringMatching(/restart/) }],
      });
    }
  });
});

test('a settings file that lost its access file lets nobody in; one that gained it asks from then on', () => {
  const access = folder.write('access.yaml', JSON.stringify({ identities: [{ name: 'a', allow: [] }] }));
  const plain: SecurityPaths = { tlsClientAuth: 'none' };
  const known: SecurityPaths = { ...plain, access };
  expect(open(known).security.prepare(plain)).toMatchObject({
    problems: [{ field: 'HOLDFAST_ACCESS', description: expect.stringMatching(/restart/) }],
  });
  const { security } = open(plain);
  expect(security.authenticator.isOpen).toBe(true);
  const next = security.prepare(known);
  if ('problems' in next) throw new Error(JSON.stringify(next));
  expect(next.commit()).toEqual(['HOLDFAST_ACCESS']);
  expect(security.authenticator.isOpen).toBe(false);
});

test('files that cannot be used are named at once, by setting, without what is in them', () => {
  const settings: SecurityPaths = {
    access: folder.write('access.yaml', 'identities: [{ name: a, allow: [], secret_thing: hunter2 }]'),
    tlsCert: folder.write('not.pem', 'hunter2'),
    tlsKey: '/not/there',
    tlsClientAuth: 'none',
  };
  const start = () => open(settings);
  expect(start).toThrow(/^HOLDFAST_ACCESS: identities\[0\]: has an unknown key secret_thing$/m);
  expect(start).toThrow(/^HOLDFAST_TLS_CERT: holds no certificate \(PEM\)$/m);
  expect(start).toThrow(/^HOLDFAST_TLS_KEY: "\/not\/there" cannot be read \(ENOENT\)$/m);
  expect(start).not.toThrow(/hunter2/);
});

/** The keys of an issuer over real HTTP: fetched when needed, kept while it is away, changed when it changes them. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readAccess } from '../../src/edge/access/access-file.ts';
import { Grant } from '../../src/edge/access/authenticator.ts';
import { Callers } from '../../src/edge/access/callers.ts';
import { RemoteKeys } from '../../src/edge/access/jwks.ts';
import { ManualClock } from '../../src/std/clock.ts';
import { KeyServer } from '../harness/key-server.ts';
import { until } from '../harness/until.ts';

const MINUTE_MS = 60_000;

let server: KeyServer;
let clock: ManualClock;
let callers: Callers;
let troubles: string[];

beforeEach(async () => {
  server = await KeyServer.start();
  clock = new ManualClock(Date.now() * 1000);
  troubles = [];
  const read = readAccess(`
identities: [{ name: one, jwt: [{ subject: one }], allow: [] }]
jwt: [{ issuer: "${server.issuer}", audience: holdfast, jwks: "${server.url}" }]
`);
  if (!read.ok) throw new Error(read.problems.join());
  const keys = new RemoteKeys({
    url: server.url,
    clock,
    onChange: () => callers.forget(),
    onTrouble: (why) => troubles.push(why),
  });
  const issuers = new Map([...read.file.issuers].map(([name, issuer]) => [name, { issuer, keys }]));
  callers = new Callers(read.file, issuers, clock);
});
afterEach(() => server.close());

async function ask(token: string): Promise<string> {
  const answer = await callers.identify(`Bearer ${token}`, undefined);
  return answer instanceof Grant ? answer.identity.name : `${answer.reason}: ${answer.detail}`;
}

/** Each time another one, so that nothing is remembered of it. */
const fresh = (jti: number) => server.sign({ sub: 'one', jti: String(jti) });

describe('keys', () => {
  test('are fetched once for many callers', async () => {
    const tokens = await Promise.all(Array.from({ length: 20 }, (_, at) => fresh(at)));
    expect(new Set(await Promise.all(tokens.map(ask)))).toEqual(new Set(['one']));
    expect(server.asked).toBe(1);
  });

  test('that are known go on while the issuer is away, however long', async () => {
    expect(await ask(await fresh(1))).toBe('one');
    server.behaviour = 'fails';
    for (let at = 2; at < 6; at += 1) {
      clock.advance(6 * MINUTE_MS);
      expect(await ask(await fresh(at))).toBe('one');
      await until('it was asked again', () => troubles.length === at - 1);
    }
  });

  test('of another kid are asked for, but not more often than every ten seconds', async () => {
    await ask(await fresh(1));
    const stranger = await server.addKey('k9');
    server.keys.pop();
    clock.advance(10_000);
    for (let at = 0; at < 5; at += 1) {
      expect(await ask(await server.sign({ sub: 'one', jti: `s${at}` }, stranger))).toMatch(
        /^unknown: no key/,
      );
    }
    expect(server.asked).toBe(2);
    clock.advance(10_000);
    await server.addKey('k2');
    expect(await ask(await fresh(2))).toBe('one');
    expect(server.asked).toBe(3);
  });

  test('that the issuer has withdrawn are good no more within five minutes, also for tokens that are known', async () => {
    const old = await fresh(1);
    expect(await ask(old)).toBe('one');
    server.keys.length = 0;
    await server.addKey('k2');
    clock.advance(5 * MINUTE_MS);
    expect(await ask(await fresh(2))).toBe('one');
    await until('it is forgotten', async () => /^unknown: no key/.test(await ask(old)));
  });

  test('that the issuer has withdrawn are good no more, also where one token alone is used', async () => {
    const old = await fresh(1);
    expect(await ask(old)).toBe('one');
    // The first one came with the keys, which is no time to remember it.
    expect(await ask(old)).toBe('one');
    server.keys.length = 0;
    await server.addKey('k2');
    clock.advance(5 * MINUTE_MS);
    await until('it is forgotten', async () => /^unknown: no key/.test(await ask(old)));
  });

  test('that nobody knows, asked for by a flood while the issuer is slow, keep nobody out', async () => {
    await ask(await fresh(1));
    const known = server.keys[0]!;
    const stranger = await server.addKey('k9');
    server.keys.pop();
    clock.advance(10_000);
    server.behaviour = 'hangs';
    const flood = await Promise.all(
      Array.from({ length: 1100 }, (_, at) => server.sign({ sub: 'one', jti: `f${at}` }, stranger)),
    );
    const answers = flood.map(ask);
    await until('it is asked', () => server.asked === 2);
    expect(await ask(await server.sign({ sub: 'one', jti: 'new' }, known))).toBe('one');
    server.proceed();
    expect((await Promise.all(answers)).every((answer) => answer.startsWith('unknown'))).toBe(true);
  });

  test.each([
    ['fails', /status 500/],
    ['lies', /malformed/],
    ['floods', /more than 262144 bytes/],
    ['redirects', /./],
  ] as const)('of an issuer that %s are not had, and its callers may come again', async (behaviour, why) => {
    server.behaviour = behaviour;
    const token = await fresh(1);
    const answer = await callers.identify(`Bearer ${token}`, undefined);
    expect(answer).toMatchObject({ reason: 'unknown', retryAfterMs: 1000 });
    expect(troubles.join()).toMatch(why);
    // While it is so, it is asked once a second and not once a call.
    await ask(token);
    expect(server.asked).toBe(1);
    server.behaviour = 'answers';
    clock.advance(1000);
    expect(await ask(token)).toBe('one');
  });

  test('that come late are waited for', async () => {
    server.behaviour = 'hangs';
    const answer = ask(await fresh(1));
    await until('it is asked', () => server.asked === 1);
    server.proceed();
    expect(await answer).toBe('one');
  });
});

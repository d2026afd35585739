/** Who may call at all: tokens and JWTs, forged ones too, at a real service in clear. */
import { createHmac } from 'node:crypto';
import { connect } from 'node:http2';
import { makeGenericClientConstructor } from '@grpc/grpc-js';
import { exportSPKI } from 'jose';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { digestOf, makeToken } from '../../src/domain/access-token.ts';
import { systemRandom } from '../../src/std/random.ts';
import { AuthScene, UNAUTHENTICATED } from '../harness/auth-scene.ts';
import { HoldStream } from '../harness/lock-streams.ts';
import type { TestReplica } from '../harness/replica.ts';
import { refusal } from '../harness/rpc-client.ts';
import { bearer, channelOf, type Shown } from '../harness/shown.ts';

let scene: AuthScene;
let plain: TestReplica;
let at = '';

beforeAll(async () => {
  scene = await AuthScene.open();
  plain = await scene.replica({ HOLDFAST_LISTEN: `127.0.0.1:0,unix:${scene.folder.path}/s.sock` });
  [at = ''] = plain.replica.addresses;
});
afterEach(() => scene.end());
afterAll(() => scene?.close());

const failures = async (reason: string): Promise<number> => {
  const { text } = await plain.http('/metrics');
  return Number(new RegExp(`^holdfast_auth_failures_total{reason="${reason}"} (\\d+)$`, 'm').exec(text)?.[1]);
};

describe('a caller is let in', () => {
  test('with a token', async () => {
    await scene.lock(scene.client(bearer(scene.known), at));
  });

  test('with a JWT', async () => {
    await scene.lock(scene.client(bearer(await scene.server.sign({ sub: 'one' })), at));
  });

  test('by a unix socket as anywhere else', async () => {
    const to = plain.replica.addresses[1]!;
    await scene.lock(scene.client(bearer(scene.known), to));
    expect(await refusal(scene.lock(scene.client({}, to)))).toMatchObject({ code: UNAUTHENTICATED });
  });
});

/** Encoded as a JWT, signed by `signature`. */
const forged = (header: object, claims: object, signature: (text: string) => string): string => {
  const text = [header, claims]
    .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
    .join('.');
  return `${text}.${signature(text)}`;
};
const goodClaims = () => ({
  iss: scene.server.issuer,
  aud: 'holdfast',
  sub: 'one',
  exp: Date.now() / 1000 + 3600,
});

describe('a caller is refused', () => {
  const cases: [string, string, () => Shown | Promise<Shown>][] = [
    ['without credentials', 'missing', () => ({})],
    ['with a token that nobody has', 'unknown', () => bearer(makeToken(systemRandom))],
    ['with a token that has expired', 'expired', () => bearer(scene.expired)],
    ['with a token in another scheme', 'invalid', () => ({ authorization: `Basic ${scene.known}` })],
    [
      'with two headers',
      'invalid',
      () => ({ authorization: `Bearer ${scene.known}, Bearer ${scene.second}` }),
    ],
    ['with a header of 12 KB', 'invalid', () => bearer('x'.repeat(12_000))],
    ['with the hash of a token', 'invalid', () => bearer(digestOf(scene.known))],
    [
      'with an expired JWT',
      'expired',
      async () => bearer(await scene.server.sign({ sub: 'one', exp: Date.now() / 1000 - 60 })),
    ],
    [
      'with a JWT of tomorrow',
      'invalid',
      async () => bearer(await scene.server.sign({ sub: 'one', nbf: Date.now() / 1000 + 86_400 })),
    ],
    [
      'with a JWT for others',
      'invalid',
      async () => bearer(await scene.server.sign({ sub: 'one', aud: 'x' })),
    ],
    [
      'with a JWT by others',
      'unknown',
      async () => bearer(await scene.server.sign({ sub: 'one', iss: 'x' })),
    ],
    ['with a JWT of a stranger', 'unknown', async () => bearer(await scene.server.sign({ sub: 'nobody' }))],
    ['with a JWT of alg none', 'invalid', () => bearer(forged({ alg: 'none' }, goodClaims(), () => ''))],
    [
      'with a JWT of HS256 by the public key',
      'invalid',
      async () => {
        const secret = await exportSPKI(scene.server.keys[0]!.publicKey);
        return bearer(
          forged({ alg: 'HS256', kid: 'k1' }, goodClaims(), (text) =>
            createHmac('sha256', secret).update(text).digest('base64url'),
          ),
        );
      },
    ],
    [
      'with a JWT of a key that the issuer does not have',
      'unknown',
      async () => {
        const stranger = await scene.server.addKey('k9');
        scene.server.keys.pop();
        return bearer(await scene.server.sign({ sub: 'one' }, stranger));
      },
    ],
    [
      'with a JWT by another key of a known kid',
      'invalid',
      async () => {
        const stranger = await scene.server.addKey('k1');
        scene.server.keys.pop();
        return bearer(await scene.server.sign({ sub: 'one' }, stranger));
      },
    ],
    [
      'with a JWT whose claims were changed',
      'invalid',
      async () => {
        const [header, , signature] = (await scene.server.sign({ sub: 'nobody' })).split('.');
        const claims = Buffer.from(JSON.stringify(goodClaims())).toString('base64url');
        return bearer(`${header}.${claims}.${signature}`);
      },
    ],
    [
      'with a JWT that brings its own key',
      'unknown',
      async () => {
        const stranger = await scene.server.addKey('own');
        scene.server.keys.pop();
        const [, claims, signature] = (await scene.server.sign({ sub: 'one' }, stranger)).split('.');
        const header = Buffer.from(
          JSON.stringify({ alg: 'RS256', kid: 'own', jwk: stranger.jwk, jku: scene.server.url }),
        );
        return bearer(`${header.toString('base64url')}.${claims}.${signature}`);
      },
    ],
  ];
  test.each(cases)('%s', async (_, reason, show) => {
    const before = await failures(reason);
    const shown = await show();
    const by = scene.client(shown, at);
    const calls = [
      () => scene.lock(by),
      () => by.inspect('auth/1'),
      () => by.status(),
      () => by.release('x'),
      () => by.force({ resource: 'auth/1', reason: 'x' }),
    ];
    for (const call of calls) {
      const said = await refusal(call());
      expect(said).toMatchObject({
        code: UNAUTHENTICATED,
        reason: 'UNAUTHENTICATED',
        metadata: { why: reason },
      });
      expect(said.message).not.toMatch(/hft_|eyJ|kid|aud|issuer|Bearer/);
    }
    const stream = new HoldStream(at, { acquire: { resources: ['x'], owner: 'x' } }, shown);
    expect(await stream.over()).toMatchObject({ code: UNAUTHENTICATED });
    expect(await failures(reason)).toBe(before + 6);
  });

  test('and nothing was done for any of them', async () => {
    const { locks } = await scene.client(bearer(scene.known), at).list({ prefix: 'x' });
    expect(locks).toEqual([]);
  });
});

test('a call without grpc-js is refused as well, whatever else it sends', async () => {
  const session = connect(`http://${at}`);
  scene.onEnd(() => session.destroy());
  const codes = await Promise.all(
    [
      '/holdfast.v1.LockService/Acquire',
      '/holdfast.v1.AdminService/Status',
      '/holdfast.v1.LockService/Session',
    ].map(
      (path) =>
        new Promise((resolve) => {
          const stream = session.request({
            ':method': 'POST',
            ':path': path,
            'content-type': 'application/grpc',
            te: 'trailers',
          });
          stream.on('response', (headers) => resolve(headers['grpc-status']));
          stream.on('error', resolve);
          stream.write(Buffer.alloc(5));
        }),
    ),
  );
  expect(codes).toEqual(['16', '16', '16']);
});
test('health is open to all, reflection is not', async () => {
  const identity = (bytes: Buffer): Buffer => bytes;
  const method = (path: string, isStream: boolean) => ({
    path,
    requestStream: isStream,
    responseStream: isStream,
    requestSerialize: identity,
    requestDeserialize: identity,
    responseSerialize: identity,
    responseDeserialize: identity,
  });
  const Bare = makeGenericClientConstructor(
    {
      check: method('/grpc.health.v1.Health/Check', false),
      reflect: method('/grpc.reflection.v1.ServerReflection/ServerReflectionInfo', true),
    },
    'Bare',
  );
  const open = (shown: Shown) => {
    const { creds, options } = channelOf(shown);
    const bare = new Bare(at, creds, options);
    scene.onEnd(() => bare.close());
    return bare as unknown as {
      check(request: Buffer, told: (error: unknown, answer?: Buffer) => void): void;
      reflect(): NodeJS.EventEmitter & { write(bytes: Buffer): void; end(): void };
    };
  };
  const healthy = await new Promise<Buffer | undefined>((resolve) => {
    open({}).check(Buffer.alloc(0), (_, answer) => resolve(answer));
  });
  expect(healthy).toEqual(Buffer.from([8, 1]));
  const reflected = (shown: Shown) =>
    new Promise<number>((resolve) => {
      const call = open(shown).reflect();
      call.on('error', ({ code }) => resolve(code as number));
      call.on('data', () => {
        resolve(0);
        call.end();
      });
      // list_services
      call.write(Buffer.from([0x3a, 0]));
    });
  expect(await reflected({})).toBe(UNAUTHENTICATED);
  expect(await reflected(bearer(scene.known))).toBe(0);
});

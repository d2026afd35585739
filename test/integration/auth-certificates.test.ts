/** Who may call by a certificate of its own, alone or beside a token, and whom TLS keeps out. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { AuthScene, UNAUTHENTICATED } from '../harness/auth-scene.ts';
import { Authority } from '../harness/certificates.ts';
import { refusal } from '../harness/rpc-client.ts';
import { bearer, type Shown } from '../harness/shown.ts';

const otherCa = new Authority('another CA');
let scene: AuthScene;
let at = '';

beforeAll(async () => {
  scene = await AuthScene.open();
  [at = ''] = (await scene.secure('request')).replica.addresses;
});
afterEach(() => scene.end());
afterAll(() => scene?.close());

describe('over TLS', () => {
  test('with a certificate, alone and beside a token of the same identity', async () => {
    const shown = { ca: scene.ca.cert, ...scene.ca.issue({ names: ['uri:spiffe://x/one'] }) };
    await scene.lock(scene.client(shown, at));
    await scene.lock(scene.client({ ...shown, ...bearer(scene.known) }, at));
    await scene.lock(scene.client({ ca: scene.ca.cert, ...bearer(scene.known) }, at));
  });

  test.each([
    ['of another CA', () => otherCa.issue({ names: ['uri:spiffe://x/one'] })],
    [
      'that has expired',
      () => scene.ca.issue({ names: ['uri:spiffe://x/one'], notAfterMs: Date.now() - 60_000 }),
    ],
    [
      'of tomorrow',
      () => scene.ca.issue({ names: ['uri:spiffe://x/one'], notBeforeMs: Date.now() + 3_600_000 }),
    ],
  ])('a certificate %s ends the connection, also beside a good token', async (_, pair) => {
    const by = scene.client({ ca: scene.ca.cert, ...pair(), ...bearer(scene.known) }, at);
    await expect(scene.lock(by)).rejects.toMatchObject({ code: 14 });
  });

  test.each<[string, () => Shown]>([
    ['no certificate and no token', () => ({ ca: scene.ca.cert })],
    [
      'a certificate of nobody',
      () => ({ ca: scene.ca.cert, ...scene.ca.issue({ names: ['uri:spiffe://x/none'] }) }),
    ],
    [
      'the name of the SPIFFE id in another place',
      () => ({
        ca: scene.ca.cert,
        ...scene.ca.issue({ commonName: 'spiffe://x/one', names: ['dns:spiffe://x/one'] }),
      }),
    ],
    [
      'a certificate and the token of another',
      () => ({
        ca: scene.ca.cert,
        ...scene.ca.issue({ names: ['uri:spiffe://x/one'] }),
        ...bearer(scene.second),
      }),
    ],
  ])('%s is refused', async (_, shown) => {
    expect(await refusal(scene.lock(scene.client(shown(), at)))).toMatchObject({ code: UNAUTHENTICATED });
  });

  test('who must show a certificate cannot connect without one', async () => {
    const strict = await scene.secure('require');
    const to = strict.replica.addresses[0]!;
    await expect(
      scene.lock(scene.client({ ca: scene.ca.cert, ...bearer(scene.known) }, to)),
    ).rejects.toMatchObject({ code: 14 });
    await scene.lock(
      scene.client({ ca: scene.ca.cert, ...scene.ca.issue({ names: ['uri:spiffe://x/one'] }) }, to),
    );
  });
});

/** TLS and identities where several processes serve: each worker shakes hands and asks who calls by itself. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { AuthScene, UNAUTHENTICATED } from '../harness/auth-scene.ts';
import { HoldingProcess } from '../harness/holding.ts';
import type { ReplicaProcess } from '../harness/replica.ts';
import { refusal, span } from '../harness/rpc-client.ts';
import { Scene } from '../harness/scene.ts';
import { bearer, type Shown } from '../harness/shown.ts';

const TTL_MS = 20_000;
/** Far below keepalive and the ttl. */
const SOON_MS = 5000;

let nodes: Scene;
let scene: AuthScene;
let service: ReplicaProcess;
let shown: Shown;

beforeAll(async () => {
  [nodes, scene] = await Promise.all([Scene.open(), AuthScene.open()]);
  const { cert, key } = scene.ca.server();
  service = await nodes.process({
    ...scene.env,
    HOLDFAST_WORKERS: '2',
    HOLDFAST_TLS_CERT: scene.folder.write('cert.pem', cert),
    HOLDFAST_TLS_KEY: scene.folder.write('key.pem', key),
  });
  shown = { ca: scene.ca.cert, ...bearer(scene.known) };
});
afterAll(async () => {
  await scene?.close();
  await nodes?.close();
});

test('every worker serves those it knows, and nobody else', async () => {
  for (let at = 0; at < 4; at += 1) {
    await scene.lock(scene.client(shown, service.address));
    const stranger = scene.client({ ca: scene.ca.cert }, service.address);
    expect(await refusal(scene.lock(stranger))).toMatchObject({ code: UNAUTHENTICATED });
  }
  const text = await (await fetch(`http://${service.http}/metrics`)).text();
  expect(text).toMatch(/^holdfast_auth_failures_total{reason="missing"} 4$/m);
  // Of the service as a whole: the time when it ends, and not twice that.
  const [, seconds] = /^holdfast_tls_certificate_expiry_timestamp_seconds (\d+)/m.exec(text) ?? [];
  expect(Math.abs(Number(seconds) - Date.now() / 1000 - 90 * 86_400)).toBeLessThan(600);
});

test('the lock of a client that is killed is free at once', async () => {
  const hold = { acquire: { resources: ['killed'], owner: 'holder', ttl: span(TTL_MS) } };
  const holder = await HoldingProcess.start(service.address, { hold, ttlMs: TTL_MS, shown });
  const next = scene.client(shown, service.address).lock('killed', { owner: 'next', wait: { seconds: 30 } });
  await nodes.queued('killed', 1);
  const killedMs = performance.now();
  await holder.kill();
  await next;
  expect(performance.now() - killedMs).toBeLessThan(SOON_MS);
});

test('a certificate that cannot be read ends the start, and says which', async () => {
  const broken = nodes.process({
    ...scene.env,
    HOLDFAST_WORKERS: '2',
    HOLDFAST_TLS_CERT: scene.folder.write('broken.pem', 'junk'),
    HOLDFAST_TLS_KEY: `${scene.folder.path}/key.pem`,
  });
  await expect(broken).rejects.toThrow(/ended with 2:[\s\S]*HOLDFAST_TLS_CERT: holds no certificate/);
});

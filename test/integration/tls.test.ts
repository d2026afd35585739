/** TLS in front of gRPC with real certificates: who gets in, how streams end there, and certificates that change meanwhile. */
import { connect as connectPlain, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { loadSettings } from '../../src/config.ts';
import { Authority, Folder } from '../harness/certificates.ts';
import { HoldingProcess } from '../harness/holding.ts';
import { keeps } from '../harness/kept.ts';
import { HoldStream } from '../harness/lock-streams.ts';
import { settingsFor, TestReplica } from '../harness/replica.ts';
import { RpcClient, span } from '../harness/rpc-client.ts';
import type { Shown } from '../harness/shown.ts';
import { until } from '../harness/until.ts';

const UNAVAILABLE = 14;
/** Far below keepalive (15 s) and the ttl: so fast only what was said is heard. */
const SOON_MS = 3000;
const TTL_MS = 20_000;

const ca = new Authority();
const otherCa = new Authority('another CA');
const folder = new Folder();
const closing: (() => unknown)[] = [];
let env: Record<string, string>;
let replica: TestReplica;
let address = '';

beforeAll(async () => {
  const { cert, key } = ca.server();
  env = {
    HOLDFAST_TLS_CERT: folder.write('cert.pem', cert),
    HOLDFAST_TLS_KEY: folder.write('key.pem', key),
    HOLDFAST_LISTEN: `127.0.0.1:0,unix:${folder.path}/s.sock`,
    HOLDFAST_MAX_TTL: `${TTL_MS}ms`,
  };
  replica = await TestReplica.start('', env);
  address = replica.replica.addresses[0]!;
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});
afterAll(async () => {
  await replica?.stop();
  folder.remove();
});

function client(shown: Shown, to = address): RpcClient {
  const made = new RpcClient(to, { 'grpc.use_local_subchannel_pool': 1 }, shown);
  closing.push(() => made.close());
  return made;
}

const lock = (by: RpcClient, name: string) => by.lock(name, { ttl: span(TTL_MS) });

/** What a raw TLS client agrees on, or why it does not. */
function shake(options: ConnectionOptions): Promise<string> {
  const [host, port] = address.split(':');
  return new Promise((resolve) => {
    const socket = connectTls({ host: host!, port: Number(port), ca: ca.cert, ...options });
    socket.on('secureConnect', () => {
      const said = `${socket.getProtocol()} ${socket.alpnProtocol}`;
      // Refused after the handshake: nothing was sent before the end.
      socket.once('data', () => {
        resolve(said);
        socket.destroy();
      });
    });
    socket.on('error', ({ message }) => resolve(message));
    socket.on('close', () => resolve('closed'));
  });
}

describe('an address with a certificate', () => {
  test('speaks gRPC over TLS, and a unix socket speaks it in clear', async () => {
    expect((await lock(client({ ca: ca.cert }), 'over/tls')).resources).toEqual(['over/tls']);
    const plain = client({}, replica.replica.addresses[1]!);
    expect((await lock(plain, 'over/unix')).resources).toEqual(['over/unix']);
  });

  test.each([
    ['TLS 1.3', { ALPNProtocols: ['h2'] }, 'TLSv1.3 h2'],
    ['TLS 1.2', { ALPNProtocols: ['h2'], maxVersion: 'TLSv1.2' as const }, 'TLSv1.2 h2'],
    [
      'TLS 1.1',
      {
        ALPNProtocols: ['h2'],
        maxVersion: 'TLSv1.1' as const,
        minVersion: 'TLSv1.1' as const,
        ciphers: 'DEFAULT@SECLEVEL=0',
      },
      /alert protocol version|no protocols available/,
    ],
    ['HTTP/1.1', { ALPNProtocols: ['http/1.1'] }, /no application protocol/],
    ['no protocol', {}, 'closed'],
  ])('is asked for %s', async (_, options, answer) => {
    const said = await shake(options);
    if (typeof answer === 'string') expect(said).toBe(answer);
    else expect(said).toMatch(answer);
  });

  test('is not spoken to in clear, nor by who does not trust it', async () => {
    await expect(lock(client({}), 'x')).rejects.toMatchObject({ code: UNAVAILABLE });
    await expect(lock(client({ ca: otherCa.cert }), 'x')).rejects.toMatchObject({ code: UNAVAILABLE });
  });

  test('serves although a thousand others never say hello: the oldest of these gives way', async () => {
    const [host, port] = address.split(':');
    const mutes: Socket[] = [];
    closing.push(() => mutes.map((mute) => mute.destroy()));
    let closed = 0;
    // A few at a time: what goes beyond the backlog of the listening socket comes again only after seconds.
    for (let wave = 0; wave < 11; wave += 1) {
      const some = Array.from({ length: 100 }, () => connectPlain(Number(port), host!));
      mutes.push(...some);
      for (const mute of some) mute.on('error', () => {}).once('close', () => (closed += 1));
      await until('they are connected', () => some.every(({ connecting }) => !connecting));
    }
    await until('the first ones give way', () => closed >= 1100 - 1024);
    expect(mutes[0]!.destroyed).toBe(true);
    await lock(client({ ca: ca.cert }), 'beside/mutes');
  });

  test('ends a socket that never says hello, when the service stops', async () => {
    const another = await TestReplica.start('', { ...env, HOLDFAST_LISTEN: '127.0.0.1:0' });
    const [host, port] = another.replica.addresses[0]!.split(':');
    const mute = connectPlain(Number(port), host!);
    mute.on('error', () => {});
    const closed = new Promise<void>((resolve) => {
      mute.once('close', () => resolve());
    });
    await new Promise<void>((resolve) => {
      mute.once('connect', () => resolve());
    });
    await another.stop();
    await closed;
  });
});

describe('a stream over TLS', () => {
  const hold = (name: string): object => ({
    hold: { acquire: { resources: [name], owner: 'holder', ttl: span(TTL_MS) } },
    ttlMs: TTL_MS,
    shown: { ca: ca.cert },
  });

  test.each(['TLSv1.3', 'TLSv1.2'] as const)(
    'frees its lock when its client is killed (%s)',
    async (version) => {
      const tls = version === 'TLSv1.2' ? ['--tls-max-v1.2'] : [];
      const name = `killed/${version}`;
      const holder = await HoldingProcess.start(address, hold(name), 'granted', tls);
      closing.push(() => holder.kill());
      const plain = client({ ca: ca.cert });
      const next = plain.lock(name, { owner: 'next', wait: { seconds: 30 } });
      await until('it waits', async () => (await plain.inspect(name)).waiters.length === 1);
      const killedMs = performance.now();
      await holder.kill();
      await next;
      const tookMs = performance.now() - killedMs;
      process.stderr.write(`SIGKILL over ${version}: free after ${Math.round(tookMs)} ms\n`);
      expect(tookMs).toBeLessThan(SOON_MS);
    },
  );

  test('keeps the lock of a client that is stopped, whose ttl is not over', async () => {
    const quick = { HOLDFAST_KEEPALIVE_TIME: '200ms', HOLDFAST_KEEPALIVE_TIMEOUT: '200ms' };
    const short = await TestReplica.start('', { ...env, ...quick, HOLDFAST_LISTEN: '127.0.0.1:0' });
    closing.push(() => short.stop());
    const holder = await HoldingProcess.start(short.replica.addresses[0]!, hold('silent/tls'));
    closing.push(() => holder.kill());
    await holder.stop();
    await keeps({ http: short.replica.httpAddress }, 0);
    const by = client({ ca: ca.cert }, short.replica.addresses[0]!);
    expect((await by.inspect('silent/tls')).state).toBe('STATE_HELD');
  });
});

describe('another certificate', () => {
  test('serves who comes from now on, and disturbs nobody who is there', async () => {
    const before = client({ ca: ca.cert });
    await lock(before, 'first/tls');
    const stream = new HoldStream(
      address,
      { acquire: { resources: ['kept/tls'], owner: 'h', ttl: span(TTL_MS) } },
      { ca: ca.cert },
    );
    closing.push(() => stream.cancel());
    await stream.granted();
    const { cert, key } = otherCa.server({ notAfterMs: Date.now() + 3 * 86_400_000 });
    const old = { cert: folder.write('cert.pem', cert), key: folder.write('key.pem', key) };
    const outcome = await replica.replica.reload(() => ({
      ok: true,
      settings: settingsFor('', env),
      warnings: [],
    }));
    expect(outcome).toMatchObject({ kind: 'reloaded', changed: ['HOLDFAST_TLS_CERT', 'HOLDFAST_TLS_KEY'] });
    await lock(client({ ca: otherCa.cert }), 'new/tls');
    await lock(before, 'old/tls');
    expect(stream.ended).toBeUndefined();
    const { text } = await replica.http('/metrics');
    const [, seconds] = /^holdfast_tls_certificate_expiry_timestamp_seconds (\d+)/m.exec(text) ?? [];
    expect(Math.abs(Number(seconds) - Date.now() / 1000 - 3 * 86_400)).toBeLessThan(600);
    // A key that does not belong to it changes nothing.
    folder.write('key.pem', ca.server().key);
    const refused = await replica.replica.reload(() => ({
      ok: true,
      settings: settingsFor('', env),
      warnings: [],
    }));
    expect(refused).toMatchObject({ kind: 'refusal', fields: [{ field: 'HOLDFAST_TLS_KEY' }] });
    await lock(client({ ca: otherCa.cert }), 'still/tls');
    expect(old).toBeDefined();
  });
});

describe('at the start', () => {
  const problems = (more: Record<string, string>): readonly string[] => {
    const loaded = loadSettings({ argv: [], env: { HOLDFAST_LISTEN: '127.0.0.1:0', ...more } });
    return loaded.ok ? [] : loaded.problems;
  };

  test.each([
    [{ HOLDFAST_TLS_CERT: '/x' }, /HOLDFAST_TLS_CERT needs HOLDFAST_TLS_KEY/],
    [{ HOLDFAST_TLS_KEY: '/x' }, /HOLDFAST_TLS_KEY needs HOLDFAST_TLS_CERT/],
    [{ HOLDFAST_TLS_CLIENT_CA: '/x' }, /CLIENT_CA needs HOLDFAST_TLS_CERT/],
    [
      { HOLDFAST_TLS_CLIENT_CA: '/x', HOLDFAST_TLS_CERT: '/x', HOLDFAST_TLS_KEY: '/x' },
      /CLIENT_CA needs HOLDFAST_ACCESS/,
    ],
  ])('%j is refused', (more, why) => {
    expect(problems(more).join('\n')).toMatch(why);
  });

  test('a file that is no certificate is named, and so is one that is not there', async () => {
    const junk = folder.write('junk.pem', 'junk');
    const cert = { ...env, HOLDFAST_TLS_CERT: junk, HOLDFAST_TLS_KEY: '/not/there.pem' };
    await expect(TestReplica.start('', cert)).rejects.toThrow(
      /HOLDFAST_TLS_KEY: "\/not\/there.pem" cannot be read \(ENOENT\)\nHOLDFAST_TLS_CERT: holds no certificate/,
    );
  });
});

/** How streams end over TLS: what the client or its kernel says is heard through it, and nothing else is taken for a word. */
import { once } from 'node:events';
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect as connectHttp2,
  constants,
} from 'node:http2';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Authority, Folder } from '../harness/certificates.ts';
import { keeps } from '../harness/kept.ts';
import { TestReplica } from '../harness/replica.ts';
import { RpcClient, span, v1 } from '../harness/rpc-client.ts';

const TTL_MS = 20_000;
/** Far below the ttl: a lock that is free by then was let go. */
const SOON_MS = 5000;

const ca = new Authority();
const folder = new Folder();
let replica: TestReplica;
let client: RpcClient;

beforeAll(async () => {
  const { cert, key } = ca.server();
  replica = await TestReplica.start('', {
    HOLDFAST_TLS_CERT: folder.write('cert.pem', cert),
    HOLDFAST_TLS_KEY: folder.write('key.pem', key),
    HOLDFAST_MAX_TTL: `${TTL_MS}ms`,
    HOLDFAST_KEEPALIVE_TIME: '500ms',
    HOLDFAST_KEEPALIVE_TIMEOUT: '500ms',
  });
  client = new RpcClient(replica.replica.addresses[0]!, {}, { ca: ca.cert });
});
afterAll(async () => {
  client?.close();
  await replica?.stop();
  folder.remove();
});

interface Held {
  readonly raw: Socket;
  readonly tls: TLSSocket;
  readonly session: ClientHttp2Session;
  readonly stream: ClientHttp2Stream;
}

function dial(): Socket {
  const [host = '', port] = replica.replica.addresses[0]!.split(':');
  return connect(Number(port), host);
}

/** Holds `name` with every layer in the test's hands. */
async function hold(name: string, raw: Socket = dial()): Promise<Held> {
  const tls = connectTls({ socket: raw, ca: ca.cert, servername: 'localhost', ALPNProtocols: ['h2'] });
  for (const layer of [raw, tls]) layer.on('error', () => {});
  await once(tls, 'secureConnect');
  const session = connectHttp2('https://localhost', { createConnection: () => tls });
  session.on('error', () => {});
  const stream = session.request({
    ':method': 'POST',
    ':path': '/holdfast.v1.LockService/Hold',
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  stream.on('error', () => {});
  const { Hold } = v1.LockService.service;
  const body = Hold.requestSerialize({
    acquire: { resources: [name], owner: 'holder', ttl: span(TTL_MS) },
  } as never);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(body.length, 1);
  stream.end(Buffer.concat([head, body]));
  await once(stream, 'data');
  return { raw, tls, session, stream };
}

describe('said by the client, so the lock is free at once', () => {
  test.each<[string, (held: Held) => unknown]>([
    ['RST_STREAM', ({ stream }) => stream.close(constants.NGHTTP2_CANCEL)],
    ['GOAWAY with an error', ({ session }) => session.goaway(constants.NGHTTP2_INTERNAL_ERROR)],
    ['close_notify', ({ tls }) => tls.end()],
    ['a FIN without close_notify', ({ raw }) => raw.destroy()],
    ['a RST', ({ raw }) => raw.resetAndDestroy()],
  ])('%s', async (kind, end) => {
    const name = `said/${kind.replaceAll(' ', '-')}`;
    const held = await hold(name);
    const startedMs = performance.now();
    end(held);
    await client.lock(name, { owner: 'next', wait: { seconds: 30 } });
    expect(performance.now() - startedMs).toBeLessThan(SOON_MS);
    held.raw.destroy();
  });
});

test('bytes that are no TLS end the connection and not the lease: whoever is on the way could send them', async () => {
  const behind = dial();
  const middle = createServer((before) => {
    before.on('error', () => {}).pipe(behind);
    behind.on('error', () => {}).pipe(before);
  });
  middle.listen(0, '127.0.0.1');
  await once(middle, 'listening');
  const { port } = middle.address() as AddressInfo;
  const held = await hold('forged', connect(port, '127.0.0.1'));
  const closed = once(behind, 'close');
  behind.write(Buffer.alloc(16_384, 0x17));
  await closed;
  held.raw.destroy();
  middle.close();
  await keeps({ http: replica.replica.httpAddress }, 0);
  expect((await client.inspect('forged')).holders).toHaveLength(1);
});

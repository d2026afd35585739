/** What a server of grpc-js and Node does without the guards of src/edge/server.ts and src/control/http.ts, beside what ours does (G10). */

import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { connect, type Socket } from 'node:net';
import { gzipSync } from 'node:zlib';
import { Server, ServerCredentials, type ServerOptions, setLogger } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { startHttp } from '../../src/control/http.ts';
import { limits } from '../../src/domain/limits.ts';
import {
  Attacker,
  called,
  callHeaders,
  data,
  END_HEADERS,
  ENHANCE_YOUR_CALM,
  frame,
  HEADERS,
  hpackText,
  message,
  odd,
  opened,
  times,
} from '../harness/hostile-wire.ts';
import { until } from '../harness/until.ts';
import { contract, Stage } from '../unit/edge/harness.ts';

const OPEN_MAX = 4096;
const IDLE = 130;
const gzip = [['grpc-encoding', 'gzip']] as const;
// grpc-js takes it from here at each call.
const zlib = createRequire(import.meta.url)('node:zlib') as { createGunzip: () => unknown };

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(() => stage.close());

/** A server that answers List and has no guard that it was not given. */
async function bare(options: ServerOptions = {}): Promise<string> {
  const server = new Server(options);
  server.addService(contract.locks, {
    List: (_call: unknown, done: (e: null, m: object) => void) => done(null, {}),
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) => {
      if (error === null) resolve(port);
      else reject(error);
    });
  });
  stage.onClose(() => server.forceShutdown());
  return `127.0.0.1:${port}`;
}

const ours = async (): Promise<string> => (await stage.edge()).addresses[0]!;

async function attack(address: string, bytes: Buffer, answers = true): Promise<Attacker> {
  const attacker = await Attacker.to(address, { answers });
  stage.onClose(() => attacker.close());
  if (answers) await attacker.settled();
  attacker.send(bytes);
  await attacker.settled();
  return attacker;
}

const sides = [
  ['off', bare],
  ['on', ours],
] as const;

describe.each(sides)('guards %s', (how, start) => {
  const on = how === 'on';

  test('messages are unpacked before anybody asks for them: only without ours', async () => {
    const { createGunzip } = zlib;
    let unpacking = 0;
    const counted = () => {
      unpacking += 1;
      return createGunzip();
    };
    Object.defineProperty(zlib, 'createGunzip', { value: counted });
    stage.onClose(() => Object.defineProperty(zlib, 'createGunzip', { value: createGunzip }));
    const bombs = times(60, () => message(gzipSync(Buffer.alloc(limits.messageBytes)), 1));
    const bytes = Buffer.concat([opened(1, { more: gzip }), data(1, bombs, 0), called(3)]);
    const attacker = await attack(await start(), bytes);
    await until('what came behind is answered', () => attacker.count(HEADERS, 3) > 0);
    // As many as one frame brought; the next is read when these are done, for whomever.
    if (!on) await until('they are unpacked', () => unpacking > 10);
    expect(unpacking > 0).toBe(!on);
  });

  test.each([
    ['who has acknowledged the settings', true],
    ['who has not', false],
  ])('58 KiB of headers in 16 bytes are taken from a client %s: only without ours', async (_who, answers) => {
    const large = Buffer.concat([Buffer.from([0x40]), hpackText('large'), hpackText('v'.repeat(3900))]);
    const block = Buffer.concat([callHeaders(), large, Buffer.alloc(14, 0x80 | 62)]);
    const attacker = await attack(await start(), frame(HEADERS, END_HEADERS, 1, block), answers);
    if (on) await until('it is ended', () => attacker.closed || attacker.resets.length > 0);
    expect(attacker.closed).toBe(on && !answers);
    expect(attacker.goaway).toBe(on && !answers ? ENHANCE_YOUR_CALM : undefined);
    expect(attacker.resets).toEqual(on && answers ? [ENHANCE_YOUR_CALM] : []);
  });

  test('a client writes to the log what it likes: only without ours', async () => {
    const said: unknown[] = [];
    const address = await start();
    if (!on) setLogger({ error: (text: unknown) => said.push(text) });
    const { error } = console;
    console.error = (text: unknown) => said.push(text);
    stage.onClose(() => {
      console.error = error;
    });
    const attacker = await attack(address, called(1, { more: [['a!b', 'what it likes']] }));
    await until('it is answered', () => attacker.count(HEADERS, 1) > 0);
    expect(said).toHaveLength(on ? 0 : 1);
    expect(stage.notices).toEqual([]);
  });

  test('a message of 1 GiB is waited for: only without ours', async () => {
    const start = on ? ours : () => bare({ 'grpc.max_receive_message_length': -1 });
    const part = Buffer.concat([opened(1), data(1, message(Buffer.alloc(9), 0, 2 ** 30), 0)]);
    const attacker = await attack(await start(), part);
    if (on) await until('it is refused', () => attacker.count(HEADERS, 1) > 0);
    expect(attacker.count(HEADERS, 1)).toBe(on ? 1 : 0);
  });

  test('more calls than 4,096 stand open on one connection: only without ours', async () => {
    const attacker = await attack(
      await start(),
      times(OPEN_MAX + 1, (at) => opened(odd(at))),
    );
    if (on) await until('its connection has ended', () => attacker.closed);
    expect(attacker.closed).toBe(on);
  });
});

describe('the side door, when more are connected than it takes,', () => {
  const asked = async (port: number): Promise<string> => {
    const dial = (): Socket => {
      const socket = connect({ host: '127.0.0.1', port });
      socket.on('error', () => {});
      stage.onClose(() => socket.destroy());
      return socket;
    };
    const idle = Array.from({ length: IDLE }, dial);
    await until('they are connected or refused', () => idle.every(({ connecting }) => !connecting));
    const probe = dial();
    let said = '';
    probe.setEncoding('latin1').on('data', (chunk: string) => {
      said += chunk;
    });
    probe.write('GET /livez HTTP/1.1\r\nHost: x\r\n\r\n');
    await until('it is answered or refused', () => said !== '' || probe.closed);
    return said.split('\r\n', 1)[0]!;
  };

  test('refuses a probe: only if it refuses who comes last, as Node would', async () => {
    const server = createServer((_request, response) => response.end());
    server.maxConnections = 128;
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    stage.onClose(() => {
      server.close();
      server.closeAllConnections();
    });
    expect(await asked((server.address() as { port: number }).port)).toBe('');
  });

  test('answers a probe, since it lets go of who came first', async () => {
    const door = await startHttp({
      address: { kind: 'tcp', host: '127.0.0.1', port: 0 },
      version: '0',
      unready: () => [],
      metrics: { contentType: 'text/plain', text: async () => '' },
    });
    stage.onClose(() => door.close());
    expect(await asked((door.address as { port: number }).port)).toBe('HTTP/1.1 200 OK');
  });
});

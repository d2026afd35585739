/** How the edge listens: addresses, sockets that somebody left behind, health, and a stop that ends. */
import { once } from 'node:events';
import { statSync } from 'node:fs';
import { rename, stat, writeFile } from 'node:fs/promises';
import { createServer, Server as NetServer } from 'node:net';
import { join } from 'node:path';
import { type Client, type ServiceDefinition, type ServiceError, status } from '@grpc/grpc-js';
import { service as healthService } from 'grpc-health-check';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { AddressError } from '../../src/edge/listen.ts';
import { contract, Stage, unary } from '../unit/edge/harness.ts';

const { locks: rpc } = contract;
let stage: Stage;

beforeEach(() => {
  stage = new Stage();
});
afterEach(() => stage.close());

const check = (client: Client, service = ''): Promise<unknown> =>
  new Promise((resolve, reject) => {
    const { Check } = healthService as unknown as { Check: ServiceDefinition[string] };
    client.makeUnaryRequest(
      Check.path,
      Check.requestSerialize,
      Check.responseDeserialize,
      { service },
      (error, value) => (error ? reject(error) : resolve((value as { status: string }).status)),
    );
  });

/** The health service's news, as they come. */
function _watch(client: Client): { news: string[]; ended: Promise<ServiceError> } {
  const { Watch } = healthService as unknown as { Watch: ServiceDefinition[string] };
  const news: string[] = [];
  const stream = client.makeServerStreamRequest(
    Watch.path,
    Watch.requestSerialize,
    Watch.responseDeserialize,
    { service: '' },
  );
  stream.on('data', ({ status: said }: { status: string }) => news.push(said));
  const ended = new Promise<ServiceError>((resolve) => stream.on('error', resolve));
  return { news, ended };
}

describe('addresses', () => {
  test('several are served at once, and port 0 is told', async () => {
    const folder = await stage.folder();
    const edge = await stage.edge({ addresses: ['127.0.0.1:0', 'localhost:0', `unix:${join(folder, 's')}`] });
    expect(edge.addresses).toEqual([
      expect.stringMatching(/^127\.0\.0\.1:[1-9]\d*$/),
      expect.stringMatching(/^localhost:[1-9]\d*$/),
      `unix:${join(folder, 's')}`,
    ]);
    for (const address of edge.addresses) {
      expect(await unary(stage.client(address), rpc.List, {})).toBeDefined();
    }
  });

  test('a taken TCP address is named', async () => {
    const [taken] = (await stage.edge()).addresses;
    await expect(stage.edge({ addresses: [taken!] })).rejects.toThrow(
      `cannot listen on ${taken}: the address is already in use`,
    );
  });

  test('a taken unix address is named, and goes on answering', async () => {
    const address = `unix:${join(await stage.folder(), 's')}`;
    await stage.edge({ addresses: [address] });
    const second = stage.edge({ addresses: [address] });
    await expect(second).rejects.toThrow(`cannot listen on ${address}: the address is already in use`);
    expect(await unary(stage.client(address), rpc.List, {})).toBeDefined();
  });

  test('when one address is taken none is served', async () => {
    const [taken] = (await stage.edge()).addresses;
    const address = `unix:${join(await stage.folder(), 's')}`;
    await expect(stage.edge({ addresses: [address, taken!] })).rejects.toThrow(AddressError);
    expect(await stage.edge({ addresses: [address] })).toBeDefined();
  });

  test('a socket that a killed process left behind is replaced', async () => {
    const path = join(await stage.folder(), 's');
    const left = createServer().listen(path);
    await once(left, 'listening');
    // Node removes the file on close; a killed process does not. Renaming it away and back leaves it there.
    await rename(path, `${path}.kept`);
    left.close();
    await once(left, 'close');
    await rename(`${path}.kept`, path);
    const edge = await stage.edge({ addresses: [`unix:${path}`] });
    expect(await unary(stage.client(edge.addresses[0]!), rpc.List, {})).toBeDefined();
  });

  test('a file that is no socket is left alone', async () => {
    const path = join(await stage.folder(), 'precious');
    await writeFile(path, 'data');
    await expect(stage.edge({ addresses: [`unix:${path}`] })).rejects.toThrow(
      'a file is there that is no socket',
    );
    expect((await stat(path)).size).toBe(4);
  });

  test('a unix socket is open to its own user alone, and gone after stop', async () => {
    const path = join(await stage.folder(), 's');
    const edge = await stage.edge({ addresses: [`unix:${path}`] });
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    await edge.stop();
    await expect(stat(path)).rejects.toThrow('ENOENT');
  });

  test('a unix socket is so from the moment in which it is there', async () => {
    const path = join(await stage.folder(), 's');
    const before = process.umask(0);
    const modes: number[] = [];
    const { listen } = NetServer.prototype;
    const spy = vi.spyOn(NetServer.prototype, 'listen').mockImplementation(function (
      this: NetServer,
      ...args
    ) {
      const server = Reflect.apply(listen, this, args) as NetServer;
      modes.push(statSync(path).mode & 0o777);
      return server;
    });
    try {
      await stage.edge({ addresses: [`unix:${path}`] });
      expect([modes, process.umask()]).toEqual([[0o600], 0]);
    } finally {
      spy.mockRestore();
      process.umask(before);
    }
  });

  test.each([
    ['nonsense', 'must be host:port'],
    ['127.0.0.1:70000', 'must be host:port'],
    ['127.0.0.1:-1', 'must be host:port'],
    [`unix:/${'x'.repeat(120)}`, 'the path must be 1 to 107 bytes'],
    ['unix:', 'the path must be 1 to 107 bytes'],
    ['unix:/nowhere/at/all/s', 'no such directory'],
    ['192.0.2.1:0', 'this machine has no such address'],
    ['nobody.invalid:7420', 'the host name'],
  ])('%s is refused with its name', async (address, why) => {
    const start = stage.edge({ addresses: [address] });
    await expect(start).rejects.toThrow(`cannot listen on ${address}: `);
    await expect(start).rejects.toThrow(why);
  });
});

describe('health', () => {
  test('follows what the edge is told', async () => {
    const edge = await stage.edge();
    const client = stage.client(edge.addresses[0]!);
    expect(await check(client)).toBe('NOT_SERVING');
    edge.setServing(true);
    for (const name of ['', 'holdfast.v1.LockService', 'holdfast.v1.AdminService']) {
      expect(await check(client, name)).toBe('SERVING');
    }
    edge.setServing(false);
    expect(await check(client)).toBe('NOT_SERVING');
    await expect(check(client, 'holdfast.v1.Nothing')).rejects.toMatchObject({ code: status.NOT_FOUND });
  });
});

test('the benchmark may add a service of its own', async () => {
  const noop = {
    path: '/bench.Noop/Call',
    requestStream: false,
    responseStream: false,
    requestSerialize: (bytes: Buffer) => bytes,
    requestDeserialize: (bytes: Buffer) => bytes,
    responseSerialize: (bytes: Buffer) => bytes,
    responseDeserialize: (bytes: Buffer) => bytes,
  };
  const Call = (_call: unknown, answer: (error: null, bytes: Buffer) => void): void =>
    answer(null, Buffer.from('pong'));
  const extraServices = [{ definition: { Call: noop }, implementation: { Call } }];
  const client = stage.client((await stage.edge({ extraServices })).addresses[0]!);
  const answer = await new Promise((resolve, reject) => {
    const { path, requestSerialize, responseDeserialize } = noop;
    client.makeUnaryRequest(path, requestSerialize, responseDeserialize, Buffer.alloc(0), (error, bytes) =>
      error ? reject(error) : resolve(String(bytes)),
    );
  });
  expect(answer).toBe('pong');
  expect(stage.calls).toEqual(['bench.Noop/Call OK']);
});

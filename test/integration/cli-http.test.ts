/** The HTTP door over real sockets: probes, metrics, and nothing else. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type HttpAddress, type HttpDoor, startHttp } from '../../src/control/http.ts';

let reasons: string[] = [];
let door: HttpDoor;
let folder = '';

const open = (address: HttpAddress) =>
  startHttp({
    address,
    version: '9.9.9',
    unready: () => reasons,
    metrics: {
      contentType: 'text/plain; version=0.0.4',
      text: async () => {
        if (reasons.includes('broken')) throw new Error('scrape failed');
        return 'holdfast_ready 1\n';
      },
    },
    about: () => ({ embedded: true }),
  });

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-http-'));
  door = await open({ kind: 'tcp', host: '127.0.0.1', port: 0 });
});

afterAll(async () => {
  await door.close();
  await rm(folder, { recursive: true, force: true });
});

async function get(path: string, method = 'GET', address = door.address) {
  const where =
    address.kind === 'tcp' ? { host: address.host, port: address.port } : { socketPath: address.path };
  const asked = request({ ...where, path, method, agent: false });
  asked.end();
  const [answer] = await once(asked, 'response');
  return { status: answer.statusCode, headers: answer.headers, body: await text(answer) };
}

test('/livez answers as long as the loop turns', async () => {
  expect(await get('/livez')).toMatchObject({ status: 200, body: '{"live":true}\n' });
});

test('/readyz is 200 when ready and 503 with every reason when not', async () => {
  reasons = [];
  expect(await get('/readyz')).toMatchObject({ status: 200, body: '{"ready":true,"reasons":[]}\n' });
  reasons = ['no majority', 'draining'];
  const answer = await get('/readyz');
  expect(answer.status).toBe(503);
  expect(JSON.parse(answer.body)).toEqual({ ready: false, reasons });
  reasons = [];
});

test('/metrics has the registry and its content type, and a scrape that fails is a 500', async () => {
  expect(await get('/metrics')).toMatchObject({ status: 200, body: 'holdfast_ready 1\n' });
  expect((await get('/metrics')).headers['content-type']).toBe('text/plain; version=0.0.4');
  reasons = ['broken'];
  expect((await get('/metrics')).status).toBe(500);
  reasons = [];
});

test('/ says who it is', async () => {
  expect(JSON.parse((await get('/?x=1')).body)).toMatchObject({
    service: 'holdfast',
    version: '9.9.9',
    embedded: true,
  });
});

test('everything else is 404, and nothing can be written', async () => {
  expect((await get('/nonsense')).status).toBe(404);
  expect(await get('/livez', 'POST')).toMatchObject({ status: 405, headers: { allow: 'GET, HEAD' } });
});

test('HEAD has the headers and no body', async () => {
  const answer = await get('/livez', 'HEAD');
  expect(answer).toMatchObject({ status: 200, body: '' });
  expect(answer.headers['content-length']).toBe('14');
});

test('a socket file that a killed process left is taken over, one that answers is not', async () => {
  const path = join(folder, 'http.sock');
  const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
  await once(spawn(process.execPath, ['-e', script]), 'exit');
  await access(path);
  const first = await open({ kind: 'unix', path });
  expect((await get('/livez', 'GET', first.address)).status).toBe(200);
  await expect(open({ kind: 'unix', path })).rejects.toMatchObject({ code: 'EADDRINUSE' });
  expect((await get('/livez', 'GET', first.address)).status).toBe(200);
  await first.close();
});

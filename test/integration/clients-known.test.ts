/** Both clients and the commands at a service that asks who they are: by token, by certificate, over TLS and a unix socket. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { credentials } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DeniedError, Holdfast, InvalidFieldError } from '../../clients/typescript/src/index.ts';
import { AttackSite } from '../harness/attack-site.ts';

let site: AttackSite;
let ca = '';

const root = fileURLToPath(new URL('../..', import.meta.url));

beforeAll(async () => {
  site = await AttackSite.open();
  ca = site.folder.write('trusted.pem', site.authority.cert);
});

afterAll(() => site.close());

const trusting = () => credentials.createSsl(Buffer.from(site.authority.cert));

describe('the TypeScript client', () => {
  test('holds a lock by its token, within its rules', async () => {
    const hf = new Holdfast({ address: site.address, credentials: trusting(), token: site.token('plain') });
    const lease = await hf.lock('free/ts');
    expect(await hf.inspect('free/ts')).toMatchObject({ state: 'held' });
    await lease.release();
    await expect(hf.lock('gpu/0')).rejects.toThrow(DeniedError);
    hf.close();
  });

  test('asks a function for it at each call, and says no more than that it was refused', async () => {
    const tokens = [site.token('plain'), 'hft_wrong'];
    let asked = 0;
    const token = async (): Promise<string> => tokens[Math.min(asked++, 1)]!;
    const hf = new Holdfast({ address: site.address, credentials: trusting(), token });
    const lease = await hf.lock('free/rotating');
    expect(asked).toBe(1);
    await expect(hf.inspect('free/rotating')).rejects.toThrow(DeniedError);
    await lease.release();
    hf.close();
    const broken = (): string => {
      throw new Error(`the token ${site.token('plain')} is stale`);
    };
    const none = new Holdfast({ address: site.address, credentials: trusting(), token: broken });
    const failed = await none.inspect('free/x').catch((error: unknown) => error);
    expect(failed).toBeInstanceOf(DeniedError);
    expect(String(failed)).not.toContain(site.token('plain'));
    none.close();
  });

  test('shows a certificate of its own', async () => {
    const { cert, key } = site.authority.issue({ commonName: 'worker' });
    const [trusted, own, secret] = [site.authority.cert, cert, key].map((pem) => Buffer.from(pem));
    const hf = new Holdfast({
      address: site.address,
      credentials: credentials.createSsl(trusted!, secret!, own!),
    });
    await (await hf.lock('anything/at-all')).release();
    hf.close();
  });

  test('takes no token that could not be sent, and does not repeat it', () => {
    const make = () => new Holdfast({ token: 'two words' });
    expect(make).toThrow(InvalidFieldError);
    expect(make).not.toThrow(/two words/);
  });
});

async function run(file: string, args: readonly string[], env: Record<string, string>) {
  const child = spawn(file, args, { cwd: root, env: { PATH: process.env.PATH, ...env } });
  let out = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (out += String(chunk)));
  const [code] = (await once(child, 'close')) as [number];
  return { code, out };
}

describe('the commands', () => {
  const holdfast = (args: readonly string[], env: Record<string, string> = {}) =>
    run(join(root, 'bin/holdfast'), args, { HOLDFAST_ADDRESS: site.address, HOLDFAST_CLIENT_CA: ca, ...env });

  test('take their token from a file or the environment, and are told what they may not', async () => {
    const file = site.folder.write('token', `${site.token('plain')}\n`);
    const granted = await holdfast(['acquire', 'free/cli', '--auth-token-file', file, '--json']);
    expect(granted).toMatchObject({ code: 0 });
    const env = { HOLDFAST_AUTH_TOKEN: site.token('plain') };
    expect(await holdfast(['inspect', 'free/cli'], env)).toMatchObject({ code: 0 });
    expect(await holdfast(['status'], env)).toMatchObject({
      code: 64,
      out: expect.stringContaining('DENIED'),
    });
    expect(await holdfast(['status'])).toMatchObject({ out: expect.stringContaining('UNAUTHENTICATED') });
    expect(await holdfast(['health'])).toMatchObject({ code: 0 });
  });

  // Node deprecates an address as a server's name, which is what gRPC makes of it, and says so on standard error.
  test('reach a service by its IP address, and say nothing but their own words', async () => {
    const env = {
      HOLDFAST_ADDRESS: site.address.replace('localhost', '127.0.0.1'),
      HOLDFAST_AUTH_TOKEN: site.token('plain'),
    };
    const answer = await holdfast(['acquire', 'free/by-address', '--json'], env);
    expect(answer.code, answer.out).toBe(0);
    expect(JSON.parse(answer.out)).toHaveProperty('lease.resources', ['free/by-address']);
  });

  test('run a command under a lock', async () => {
    const ran = await holdfast(['run', 'free/run', '--', 'sh', '-c', 'echo token $HOLDFAST_TOKEN'], {
      HOLDFAST_AUTH_TOKEN: site.token('plain'),
    });
    expect(ran).toMatchObject({ code: 0, out: expect.stringMatching(/token \d{10,}/) });
  });

  test('end with 2 where a file is not there', async () => {
    expect(await holdfast(['list'], { HOLDFAST_AUTH_TOKEN_FILE: '/nowhere' })).toMatchObject({ code: 2 });
  });
});

test('the Python clients hold locks by token, over TLS and in asyncio, and are refused without', async () => {
  const program = `
import asyncio, grpc, os, sys
from holdfast_client import Holdfast
from holdfast_client.aio import Holdfast as Async
from holdfast_client.errors import DeniedError

trusted = grpc.ssl_channel_credentials(open(os.environ["CA"], "rb").read())
where = dict(address=os.environ["ADDRESS"], credentials=trusted)

hf = Holdfast(token=os.environ["TOKEN"], **where)
with hf.lock("free/py") as lease:
    print("held", lease.token, hf.inspect("free/py").state)
try:
    hf.lock("gpu/0").__enter__()
except DeniedError:
    print("denied")

async def main():
    async with Async(token=lambda: os.environ["TOKEN"], **where) as other:
        async with other.lock("free/aio") as lease:
            print("held", lease.token, (await other.inspect("free/aio")).state)

asyncio.run(main())

def stale():
    raise RuntimeError("the token " + os.environ["TOKEN"])

for wrong in (None, "hft_wrong", stale):
    try:
        Holdfast(token=wrong, **where).inspect("free/py")
    except DeniedError as error:
        print("refused", error.reason)
assert "TOKEN" not in repr(hf._settings) and os.environ["TOKEN"] not in repr(hf._settings)
`;
  const ran = await run(join(root, '.venv/bin/python'), ['-c', program], {
    ADDRESS: site.address,
    CA: ca,
    TOKEN: site.token('plain'),
  });
  expect(ran.out).not.toContain(site.token('plain'));
  expect(ran.out.split('\n').map((line) => line.replace(/\d{10,}/, 'N'))).toEqual(
    expect.arrayContaining(['held N held', 'denied', 'refused UNAUTHENTICATED']),
  );
  expect(ran.out.match(/^held/gm)).toHaveLength(2);
  expect(ran.out.match(/^refused/gm)).toHaveLength(3);
  expect(ran.code).toBe(0);
});

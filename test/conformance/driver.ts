/** Drives the TypeScript client by lines of JSON, through its public face alone. */
import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { credentials } from '@grpc/grpc-js';
import { Holdfast, HoldfastError, type Lease, type LockOptions } from '../../clients/typescript/src/index.ts';

interface Request {
  readonly id: number;
  readonly op: string;
  readonly client: string;
  readonly lease: string;
  readonly with: Given;
}

/** What the verbs take, all of them; each scenario gives what its verb needs. */
interface Given {
  readonly names: string | string[];
  readonly via: 'lock' | 'hold' | 'withLock';
  readonly name: string;
  readonly error?: string;
  readonly text: string;
  readonly reason: string;
  readonly leaseRef?: string;
  readonly token: string;
  readonly key: string;
  readonly path: string;
  readonly history?: number;
  readonly prefix?: string;
}

/** A body that runs under a lock until it is told to end. */
interface Scope {
  readonly end: (error?: Error) => void;
  readonly over: Promise<unknown>;
}

const clients = new Map<string, Holdfast>();
const leases = new Map<string, Lease>();
const scopes = new Map<string, Scope>();
const waits = new Map<string, AbortController>();
const without = process.argv.find((flag) => flag.startsWith('--without='))?.slice(10);

const send = (line: object): void => {
  process.stdout.write(`${JSON.stringify(line, plain)}\n`);
};

/** Tokens as text, times as milliseconds since the epoch. */
function plain(this: unknown, key: string, value: unknown): unknown {
  const real = (this as Record<string, unknown>)[key];
  if (typeof real === 'bigint') return String(real);
  return real instanceof Date ? real.getTime() : value;
}

/** What was asked for with the lock, and news of it as they come. */
function optionsOf({ lease, with: given }: Request): LockOptions {
  const { names: _, via: _via, ...rest } = given;
  const giveUp = new AbortController();
  waits.set(lease, giveUp);
  const tell = (event: string) => (told: unknown) => send({ event, lease, told });
  return {
    ...rest,
    signal: giveUp.signal,
    onQueued: tell('queued'),
    onYieldRequest: tell('yield'),
  };
}

function kept(name: string, lease: Lease): object {
  leases.set(name, lease);
  const lost = (): void => send({ event: 'lost', lease: name, told: { ...lease.lost } });
  if (lease.signal.aborted) lost();
  else lease.signal.addEventListener('abort', lost, { once: true });
  return view(lease);
}

function view(lease: Lease): object {
  const { token, resources, owner, mode, labels, leaseRef, leaseId, remainingMs, lost, signal } = lease;
  const printed = `${JSON.stringify(lease, plain)} ${String(lease)}`;
  const secret = { hasId: leaseId.length > 0, printsId: printed.includes(leaseId) };
  return {
    token,
    resources,
    owner,
    mode,
    labels,
    leaseRef,
    remaining: remainingMs,
    lost,
    told: signal.aborted,
    ...secret,
  };
}

/** Holds a body up until it is told how to end. */
function gate() {
  let end: Scope['end'] = () => {};
  const told = new Promise<string>((done, fail) => {
    end = (error) => (error === undefined ? done('what the body gives') : fail(error));
  });
  told.catch(() => {});
  return { told, end };
}

/** Begins a body under the lock and answers when it has begun. */
function enter(hf: Holdfast, request: Request): Promise<object> {
  const { names, via } = request.with;
  const options = optionsOf(request);
  return new Promise((resolve, reject) => {
    const { told, end } = gate();
    const body = (lease: Lease): Promise<string> => {
      resolve(kept(request.lease, lease));
      return told;
    };
    const run = async (): Promise<unknown> => {
      if (via === 'withLock') return hf.withLock(names, body, options);
      await using lease = await hf[via](names, options);
      return await body(lease);
    };
    const over = run();
    over.catch(reject);
    scopes.set(request.lease, { end, over });
  });
}

/** Makes a file, if it is the one to make it, when it is told to. */
async function once(hf: Holdfast, { lease, with: { key, path, text } }: Request): Promise<object> {
  const { told, end } = gate();
  scopes.set(lease, { end, over: told });
  const { made } = await hf.once(key, path, async (temporary) => {
    send({ event: 'making', lease, told: {} });
    await told;
    await writeFile(temporary, text);
  });
  return { made, text: await readFile(path, 'utf8') };
}

type Act = (hf: Holdfast, lease: Lease, request: Request) => unknown;

const acts: Readonly<Record<string, Act>> = {
  acquire: async (hf, _, request) =>
    kept(request.lease, await hf.acquire(request.with.names, optionsOf(request))),
  acquireHere: (hf, lease, request) => acts.acquire!(hf, lease, request),
  enter: (hf, _, request) => enter(hf, request),
  leave: async (_hf, _lease, { lease, with: { error } }) => {
    const { end, over } = scopes.get(lease)!;
    end(error === undefined ? undefined : new Error(error));
    return { gave: (await over) ?? null };
  },
  once: (hf, _, request) => once(hf, request),
  finish: (_hf, _lease, { lease, with: { error } }) =>
    scopes.get(lease)!.end(error === undefined ? undefined : new Error(error)),
  giveUp: (_hf, _lease, { lease }) => waits.get(lease)!.abort(new Error('gave up')),
  view: (_, lease) => view(lease),
  check: (_, lease) => lease.check(),
  progress: (_, lease, { with: { text } }) => lease.progress(text),
  release: async (_, lease, { with: { reason } }) => ({ released: await lease.release(reason) }),
  inspect: (hf, _, { with: { name, ...rest } }) => hf.inspect(name, rest),
  list: async (hf, _, { with: which }) => {
    const found: unknown[] = [];
    for await (const lock of hf.list(which)) found.push(lock);
    return { locks: found };
  },
  checkToken: (hf, _, { with: { name, token } }) => hf.checkToken(name, BigInt(token)),
  forceRelease: async (hf, _, { with: { name, reason, leaseRef } }) => ({
    freed: await hf.forceRelease(name, { reason, ...(leaseRef === undefined ? {} : { leaseRef }) }),
  }),
  status: (hf) => hf.status(),
  close: (hf) => hf.close(),
};

function open({ client, with: given }: Request): object {
  const {
    addresses,
    credentials: how,
    ...rest
  } = given as unknown as Record<string, unknown> & { addresses: string[] };
  const where = addresses.length === 1 ? { address: addresses[0]! } : { addresses };
  const secrets = how === undefined ? {} : { credentials: credentials.createInsecure() };
  clients.set(client, new Holdfast({ ...where, ...rest, ...secrets }));
  return {};
}

/** What a scenario leaves behind is nobody's business any more. */
async function drop(client: string): Promise<object> {
  await clients.get(client)?.close();
  clients.delete(client);
  return {};
}

async function answer(request: Request): Promise<unknown> {
  const { op, client, lease } = request;
  if (op === 'open') return open(request);
  if (op === 'drop') return drop(client);
  const act = acts[op];
  if (act === undefined) throw new Error(`this driver cannot ${op}`);
  return (await act(clients.get(client)!, leases.get(lease)!, request)) ?? {};
}

function described(error: unknown): object {
  const { name, message, ...rest } = error as Error & { cause?: unknown };
  const typed = error instanceof HoldfastError && without !== 'untyped';
  const gaveUp = message === 'gave up' || (rest.cause as Error | undefined)?.message === 'gave up';
  if (!typed) return { error: 'Error', message, gaveUp };
  const { reason, code, metadata, retryAfterMs } = error;
  return { ...rest, error: name, message, reason, code, metadata, retryAfter: retryAfterMs, gaveUp };
}

if (without === 'clock') {
  const stoppedMs = performance.now();
  performance.now = () => stoppedMs;
}
const lines = createInterface({ input: process.stdin });
lines.on('line', async (line) => {
  const request = JSON.parse(line) as Request;
  const { id } = request;
  // Nothing is read any more: what ends the process then is that nothing keeps it.
  if (request.op === 'stopReading') {
    if (without === 'threads') createServer().listen(0);
    lines.close();
    process.stdin.unref?.();
  }
  try {
    send({ id, ok: request.op === 'stopReading' ? {} : await answer(request) });
  } catch (error) {
    send({ id, error: described(error) });
  }
});
send({ event: 'ready' });

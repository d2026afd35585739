/** A single etcd for the hand-off bench, its data in memory so that no disk is measured. */
import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

export interface Etcd {
  readonly address: string;
  readonly pid: number;
  stop(): Promise<void>;
}

const GET_ETCD = fileURLToPath(new URL('../../scripts/get-etcd.sh', import.meta.url));
/** One download of 8 MB, the first time. */
const GET_MS = 60_000;
const START_MS = 15_000;
const POLL_MS = 50;
const MEMORY = '/dev/shm';

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

async function healthy(url: string): Promise<boolean> {
  try {
    const { health } = (await (await fetch(`${url}/health`)).json()) as { health?: string };
    return health === 'true';
  } catch {
    return false;
  }
}

function spawnEtcd(program: string, directory: string, client: string, peer: string): ChildProcess {
  const args = [
    ...['--name', 'bench', '--data-dir', directory, '--logger', 'zap', '--log-level', 'error'],
    ...['--listen-client-urls', client, '--advertise-client-urls', client],
    ...[
      '--listen-peer-urls',
      peer,
      '--initial-advertise-peer-urls',
      peer,
      '--initial-cluster',
      `bench=${peer}`,
    ],
  ];
  // Where setpriv exists the kernel ends etcd with whoever started it.
  const tied = spawnSync('setpriv', ['--version']).status === 0;
  const [file, ...before] = tied ? ['setpriv', '--pdeathsig', 'KILL', program] : [program];
  return spawn(file!, [...before, ...args], { stdio: ['ignore', 'ignore', 'ignore'] });
}

/** Rejects where there is no etcd and none can be had. */
export async function startEtcd(): Promise<Etcd> {
  const { stdout } = await promisify(execFile)(GET_ETCD, { timeout: GET_MS });
  const directory = mkdtempSync(join(existsSync(MEMORY) ? MEMORY : tmpdir(), 'holdfast-etcd-'));
  const [port, peerPort] = [await freePort(), await freePort()];
  const url = `http://127.0.0.1:${port}`;
  const child = spawnEtcd(stdout.trim(), directory, url, `http://127.0.0.1:${peerPort}`);
  const remove = (): void => {
    child.kill('SIGKILL');
    rmSync(directory, { recursive: true, force: true });
  };
  process.on('exit', remove);
  const failed = new Promise<never>((_, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`etcd ended with ${code}`)));
  });
  failed.catch(() => {});
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const ready = async (): Promise<void> => {
    const deadlineMs = performance.now() + START_MS;
    while (!(await healthy(url))) {
      if (performance.now() > deadlineMs) throw new Error(`etcd was not healthy after ${START_MS} ms`);
      await sleep(POLL_MS);
    }
  };
  try {
    await Promise.race([ready(), failed]);
  } catch (error) {
    remove();
    throw error;
  }
  const stop = async (): Promise<void> => {
    process.off('exit', remove);
    child.kill('SIGKILL');
    await ended;
    remove();
  };
  return { address: `127.0.0.1:${port}`, pid: child.pid!, stop };
}

/** A client process with many Holds over a few connections, to be killed: some hold, some wait. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { BareConnection, type BareHold } from './bare-streams.ts';
import { span } from './rpc-client.ts';

export interface CrowdWish {
  readonly connections: number;
  readonly ttlMs: number;
  readonly graceMs?: number;
  /** Names that are free: each is held. */
  readonly holds: readonly string[];
  /** Names that others hold: each is waited for. */
  readonly waits?: readonly string[];
  /** Names that are free, held by one session on each connection. */
  readonly inSession?: readonly string[];
}

/** Streams that are opened at once on one connection. */
const AT_ONCE = 16;

export class Crowd {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** Resolves when every stream has what it wants, or stands in line. */
  static async start(address: string, wish: CrowdWish): Promise<Crowd> {
    const child = spawn(process.execPath, [fileURLToPath(import.meta.url), address], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const kill = (): void => void child.kill('SIGKILL');
    process.once('exit', kill);
    child.once('exit', () => process.removeListener('exit', kill));
    child.stdin!.end(JSON.stringify(wish));
    const lines = createInterface({ input: child.stdout! });
    await new Promise<void>((resolve, reject) => {
      lines.once('line', () => resolve());
      child.once('exit', (code) => reject(new Error(`the crowd ended with ${code} before it stood`)));
    });
    return new Crowd(child);
  }

  /** Resolves when the process is gone. */
  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await gone;
  }
}

function spoken(hold: BareHold): Promise<void> {
  return new Promise((resolve, reject) => {
    hold.onMessage = () => resolve();
    hold.stream.once('close', () => reject(new Error(`a Hold ended with ${hold.status} ${hold.detail}`)));
  });
}

async function stand(address: string, wish: CrowdWish): Promise<void> {
  const { ttlMs, graceMs = 0, holds, waits = [], inSession = [] } = wish;
  const names = [...holds, ...waits].values();
  const connections = await Promise.all(
    Array.from({ length: wish.connections }, () => BareConnection.to(address)),
  );
  const open = async (connection: BareConnection): Promise<void> => {
    for (const name of names) {
      const acquire = { resources: [name], owner: `crowd ${name}`, ttl: span(ttlMs) };
      await spoken(connection.hold({ acquire, grace: span(graceMs) }));
    }
  };
  const session = connections[0]!.openSession();
  if (inSession.length > 0) {
    const ops = inSession.map((name) => ({
      acquire: { resources: [name], owner: `crowd ${name}`, ttl: span(ttlMs) },
    }));
    await session.result(session.ask(ops, { grace: span(graceMs) }));
  }
  await Promise.all(connections.flatMap((one) => Array.from({ length: AT_ONCE }, () => open(one))));
  process.stdout.write('stands\n');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  let text = '';
  for await (const chunk of process.stdin) text += chunk;
  await stand(process.argv[2]!, JSON.parse(text) as CrowdWish);
}

/** A client process that opens streams and closes them again, so many at once, and says when it has done so. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { BareConnection } from './bare-streams.ts';

export type ChurnKind = 'hold' | 'session' | 'waiting';
const CANCEL = 8;
const CONNECTIONS = 4;
const AT_ONCE = 8;
const STREAMS_EACH = 500;

export class Churn {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor(address: string) {
    this.#child = spawn(process.execPath, [fileURLToPath(import.meta.url), address], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const kill = (): void => void this.#child.kill('SIGKILL');
    process.once('exit', kill);
    this.#child.once('exit', () => process.removeListener('exit', kill));
    this.#lines = createInterface({ input: this.#child.stdout! })[Symbol.asyncIterator]();
  }

  /** Resolves when so many more were opened and closed. */
  async turn(kind: ChurnKind, count: number): Promise<void> {
    this.#child.stdin!.write(`${kind} ${count}\n`);
    const { value, done } = await this.#lines.next();
    if (done === true || value !== 'done') throw new Error(`the client ended or failed: ${value}`);
  }

  end(): void {
    this.#child.kill('SIGKILL');
  }
}

async function once(connection: BareConnection, kind: ChurnKind, name: string): Promise<void> {
  const acquire = { resources: [name], owner: name };
  if (kind === 'session') {
    const session = connection.openSession();
    const [seq] = [session.ask([{ acquire }])];
    const { acquire: answer } = await session.answered(seq);
    const lease_id = answer?.lease?.lease_id ?? '';
    const { release } = await session.answered(session.ask([{ release: { lease_id } }]));
    if (release?.released !== true) throw new Error('the pair released nothing');
    session.halfClose();
    await session.over();
  } else {
    const hold = connection.hold({ acquire });
    const first = await hold.next();
    if (kind === 'hold' ? first.granted == null : first.queued == null) {
      throw new Error(`a Hold was told ${first.event}`);
    }
    hold.reset(CANCEL);
    await hold.over();
  }
}

/** Over connections of its own, each of which is closed when it has had its streams. */
async function round(address: string, kind: ChurnKind, count: number): Promise<void> {
  const connections = await Promise.all(
    Array.from({ length: CONNECTIONS }, () => BareConnection.to(address)),
  );
  let left = count;
  const loop = async (at: number): Promise<void> => {
    while (left > 0) {
      left -= 1;
      await once(connections[at % CONNECTIONS]!, kind, kind === 'waiting' ? 'held' : `churn/${at}`);
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS * AT_ONCE }, (_, at) => loop(at)));
  for (const connection of connections) connection.close();
}

async function serve(address: string): Promise<void> {
  for await (const line of createInterface({ input: process.stdin })) {
    const [kind = '', count = ''] = line.split(' ');
    let left = Number(count);
    while (left > 0) {
      const some = Math.min(left, CONNECTIONS * STREAMS_EACH);
      await round(address, kind as ChurnKind, some);
      left -= some;
    }
    process.stdout.write('done\n');
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await serve(process.argv[2]!);

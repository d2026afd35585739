/** A client process with one stream of each kind at a `StreamServer`: for what can only happen to a process. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Client, credentials } from '@grpc/grpc-js';
import { RawClient, type Where } from './raw-client.ts';
import { ECHO, ends, TELL } from './stream-server.ts';

type Command = 'cancel' | 'close';

/** Started by a test: the process, and a line to it. */
export class ClientProcess {
  readonly #process: ChildProcess;
  /** What this client left behind, as a forked worker. */
  heir: number | undefined;

  private constructor(args: readonly string[]) {
    const script = fileURLToPath(import.meta.url);
    this.#process = spawn(process.execPath, [script, ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
  }

  /** Resolves when both streams stand. `pour` lets the server write without end, and nobody reads it. */
  static async start(where: Where, kind: 'grpc' | 'pour' | 'forked'): Promise<ClientProcess> {
    const client = new ClientProcess([kind, JSON.stringify(where)]);
    const lines = createInterface({ input: client.#process.stdout! });
    const first = await new Promise<string>((resolve, reject) => {
      lines.once('line', resolve);
      lines.once('close', () => reject(new Error('the client ended before its streams stood')));
    });
    client.heir = Number(first.split(' ')[1]) || undefined;
    return client;
  }

  tell(command: Command): void {
    this.#process.stdin!.write(`${command}\n`);
  }

  signal(signal: 'SIGKILL' | 'SIGTERM' | 'SIGSTOP' | 'SIGCONT'): void {
    this.#process.kill(signal);
  }

  end(): void {
    this.#process.kill('SIGKILL');
    if (this.heir !== undefined) process.kill(this.heir, 'SIGKILL');
    this.heir = undefined;
  }
}

/** One that a user would write. */
function grpcClient(where: Where): void {
  const target = 'path' in where ? `unix:${where.path}` : `${where.host}:${where.port}`;
  const client = new Client(target, credentials.createInsecure());
  const { Tell, Echo } = ends;
  const tell = client.makeServerStreamRequest(
    TELL,
    Tell!.requestSerialize,
    Tell!.responseDeserialize,
    Buffer.from('hi'),
  );
  const echo = client.makeBidiStreamRequest(ECHO, Echo!.requestSerialize, Echo!.responseDeserialize);
  echo.write(Buffer.from('hi'));
  const first = [tell, echo].map((call) => {
    call.on('error', () => {});
    return new Promise((resolve) => call.on('data', resolve));
  });
  Promise.all(first).then(() => process.stdout.write('open\n'));
  createInterface({ input: process.stdin }).on('line', (command) => {
    if (command === 'close') client.close();
    else for (const call of [tell, echo]) call.cancel();
  });
}

/** Bare frames, so that it may stop reading or hand its socket to another process. */
function rawClient(where: Where, kind: string): void {
  const client = new RawClient(where);
  // A socket that is not read keeps no process alive.
  process.stdin.resume();
  const message = kind === 'pour' ? 'pour' : 'hi';
  for (const [path, complete] of [
    [TELL, true],
    [ECHO, false],
  ] as const) {
    const stream = client.open(path, message, complete);
    if (kind === 'pour') client.widen(stream);
  }
  client.socket.once('data', () => {
    if (kind === 'pour') client.socket.pause();
    const heir = kind === 'forked' ? client.share().pid : undefined;
    process.stdout.write(`open ${heir}\n`);
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [, , kind = '', where = ''] = process.argv;
  if (kind === 'grpc') grpcClient(JSON.parse(where));
  else rawClient(JSON.parse(where), kind);
}

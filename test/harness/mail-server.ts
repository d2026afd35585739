/** A real SMTP server for tests, and a way to it that stops answering where the test says. */
import { createServer, type Server, type Socket, connect as tcpConnect } from 'node:net';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';

export interface Mail {
  readonly to: string[];
  readonly text: string;
  readonly user: string;
}

export const portOf = (server: Server): number => (server.address() as { port: number }).port;

export class MailServer {
  readonly mails: Mail[] = [];
  readonly #server: SMTPServer;

  /** `refuse`: the code with which it answers the nth mail, from 0. */
  private constructor(options: SMTPServerOptions, refuse: (n: number) => number | undefined) {
    let asked = 0;
    this.#server = new SMTPServer({
      logger: false,
      closeTimeout: 100,
      onAuth: ({ username = '', password }, _session, told) =>
        password === 'pw'
          ? told(null, { user: username })
          : told(Object.assign(new Error('no'), { responseCode: 535 })),
      onMailFrom: (_address, _session, told) => {
        const code = refuse(asked++);
        told(code === undefined ? null : Object.assign(new Error('no'), { responseCode: code }));
      },
      onData: (stream, session, told) => {
        let text = '';
        stream.on('data', (chunk) => {
          text += chunk;
        });
        stream.on('end', () => {
          const to = session.envelope.rcptTo.map(({ address }) => address);
          this.mails.push({ to, text, user: String(session.user ?? '') });
          told(null);
        });
      },
      ...options,
    });
    this.#server.on('error', () => {});
  }

  static async start(
    options: SMTPServerOptions = {},
    refuse: (n: number) => number | undefined = () => undefined,
  ): Promise<MailServer> {
    const one = new MailServer(options, refuse);
    await new Promise<void>((resolve) => one.#server.listen(0, '127.0.0.1', resolve));
    return one;
  }

  get port(): number {
    return portOf(this.#server.server);
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }
}

/**
 * `silent`: it accepts, and never greets. `deaf`: its server has the mail, and the answer to that never comes. `drip`:
 * an answer to it that begins, and never ends: by no pause in it can anybody tell.
 */
export type MailFault = 'none' | 'silent' | 'deaf' | 'drip';

const DRIP_MS = 20;

export class MailFront {
  fault: MailFault;
  /** Connections that whoever sends has opened so far, and those that are open now. */
  opened = 0;
  readonly open = new Set<Socket>();
  readonly #behind: number;
  readonly #server: Server;

  private constructor(behind: number, fault: MailFault) {
    this.#behind = behind;
    this.fault = fault;
    this.#server = createServer((socket) => this.#accept(socket));
  }

  /** In front of the server at that port. */
  static async start(behind: number, fault: MailFault): Promise<MailFront> {
    const front = new MailFront(behind, fault);
    await new Promise<void>((resolve) => front.#server.listen(0, '127.0.0.1', resolve));
    return front;
  }

  get port(): number {
    return portOf(this.#server);
  }

  async close(): Promise<void> {
    for (const socket of this.open) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #accept(socket: Socket): void {
    const { fault } = this;
    this.opened += 1;
    this.open.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => this.open.delete(socket));
    // Reads on, or the end of the connection would not be heard of.
    if (fault === 'silent') socket.resume();
    else this.#relay(socket, fault);
  }

  #relay(socket: Socket, fault: MailFault): void {
    const server = tcpConnect({ host: '127.0.0.1', port: this.#behind });
    server.on('error', () => {});
    server.on('close', () => {
      if (fault === 'none') socket.destroy();
    });
    let data = false;
    let drip: NodeJS.Timeout | undefined;
    socket.on('data', (bytes) => server.write(bytes));
    socket.on('close', () => {
      clearInterval(drip);
      server.destroy();
    });
    server.on('data', (bytes) => {
      if (fault === 'none' || !data) {
        socket.write(bytes);
        // The mail may come.
        data = /^354 /m.test(bytes.toString('latin1'));
      } else if (fault === 'drip') drip ??= setInterval(() => socket.write('250-one moment\r\n'), DRIP_MS);
    });
  }
}

/** Somebody whom alerts are sent to: an HTTP server that answers as the test says, and remembers what it got. */
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Webhook } from 'standardwebhooks';

export interface Got {
  readonly headers: IncomingHttpHeaders;
  readonly path: string;
  readonly body: string;
  readonly atMs: number;
}

/** `hang`: never; `cut`: the connection ends; `drip`: a head, and then a body that never ends. */
export type Answer =
  | 'hang'
  | 'cut'
  | 'drip'
  | number
  | { readonly status: number; readonly headers?: Readonly<Record<string, string>>; readonly body?: string };

export class Receiver {
  readonly secret = `whsec_${Buffer.alloc(32, 9).toString('base64')}`;
  readonly got: Got[] = [];
  /** Of the nth request, from 0. */
  answer: (n: number) => Answer = () => 200;
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(): Promise<Receiver> {
    const server = createServer();
    const receiver = new Receiver(server);
    server.on('request', (request, response) => {
      let body = '';
      request.setEncoding('utf8').on('data', (text) => {
        body += text;
      });
      request.on('end', () => {
        const n = receiver.got.length;
        receiver.got.push({
          headers: request.headers,
          path: request.url ?? '',
          body,
          atMs: performance.now(),
        });
        const answer = receiver.answer(n);
        if (answer === 'hang') return;
        if (answer === 'cut') request.socket.destroy();
        else if (answer === 'drip') response.writeHead(200).write('{');
        else {
          const {
            status,
            headers = {},
            body: text = '{"errcode":0}',
          } = typeof answer === 'number' ? { status: answer } : answer;
          response.writeHead(status, headers).end(text);
        }
      });
      request.on('error', () => {});
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return receiver;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/alerts?token=s3cret`;
  }

  /** The content of each message that came whole and signed; throws where a signature is wrong. */
  get messages(): WebhookBody[] {
    const webhook = new Webhook(this.secret);
    return this.got.map(
      ({ body, headers }) => webhook.verify(body, headers as Record<string, string>) as WebhookBody,
    );
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}

export interface WebhookBody {
  readonly type: string;
  readonly timestamp: string;
  readonly data: {
    readonly kind: string;
    readonly status: string;
    readonly count: number;
    readonly source: string;
    readonly alerts: readonly Readonly<Record<string, string>>[];
  };
}

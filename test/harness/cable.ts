/** A cable between a client and a server that can be cut: both ends stay, and nothing comes through any more. */
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Where } from './raw-client.ts';

/** `in` is towards the server, `out` towards the client. */
export type Direction = 'in' | 'out';

export class Cable {
  readonly #directory = mkdtempSync(join(tmpdir(), 'holdfast-cable-'));
  readonly #server: Server;
  /** The end of each wire from which a direction is read. */
  readonly #from: Record<Direction, Set<Socket>> = { in: new Set(), out: new Set() };

  private constructor(where: Where) {
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
      const server = connect({ ...where, allowHalfOpen: true, noDelay: true });
      this.#from.in.add(client);
      this.#from.out.add(server);
      for (const [one, other] of [
        [client, server],
        [server, client],
      ] as const) {
        one.on('error', () => other.destroy());
        one.on('close', () => other.destroy());
        one.pipe(other);
      }
    });
  }

  /** A cable of the same kind as the server listens on. */
  static async to(where: Where): Promise<Cable> {
    const cable = new Cable(where);
    const end =
      'path' in where ? { path: join(cable.#directory, 'cable.sock') } : { port: 0, host: where.host };
    await new Promise<void>((resolve) => cable.#server.listen(end, resolve));
    return cable;
  }

  get where(): Where {
    const address = this.#server.address() as AddressInfo | string;
    return typeof address === 'string' ? { path: address } : { port: address.port, host: address.address };
  }

  /** Nothing more is taken from the sender of `direction`; nobody is told, and the kernel's buffers fill. */
  cut(direction: Direction): void {
    for (const socket of this.#from[direction]) socket.unpipe().pause();
  }

  /** The server hears that every connection was reset; what was cut tells the client nothing. */
  reset(): void {
    for (const socket of this.#from.out) socket.resetAndDestroy();
  }

  close(): void {
    this.#server.close();
    for (const socket of [...this.#from.in, ...this.#from.out]) socket.destroy();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

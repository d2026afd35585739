/** The network between clients and one replica, which a test breaks: one way alone or both, silently or by resets. */
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** `in` is towards the replica, `out` back to the client. */
export type Direction = 'in' | 'out';

interface Wire {
  readonly client: Socket;
  readonly replica: Socket;
}

export class Partition {
  readonly #server: Server;
  readonly #wires = new Set<Wire>();
  readonly #lost = new Set<Direction>();
  #closed = false;

  private constructor(host: string, port: number) {
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
      if (this.#closed) {
        client.resetAndDestroy();
        return;
      }
      const replica = connect({ host, port, allowHalfOpen: true, noDelay: true });
      const wire = { client, replica };
      this.#wires.add(wire);
      this.#pass('in', client, replica, wire);
      this.#pass('out', replica, client, wire);
    });
  }

  /** In front of the replica at `HOST:PORT`. */
  static async to(address: string): Promise<Partition> {
    const [host = '', port] = address.split(':');
    const partition = new Partition(host, Number(port));
    await new Promise<void>((resolve) => partition.#server.listen(0, '127.0.0.1', resolve));
    return partition;
  }

  get address(): string {
    const { address, port } = this.#server.address() as AddressInfo;
    return `${address}:${port}`;
  }

  /** From now on nothing arrives that way, not even the end of a connection; nobody is told. */
  lose(...directions: readonly Direction[]): void {
    for (const direction of directions) this.#lost.add(direction);
  }

  /** Both ends of every connection hear of a reset at once, and no connection is let in any more. */
  reset(): void {
    this.#closed = true;
    for (const { client, replica } of this.#wires) {
      client.resetAndDestroy();
      replica.resetAndDestroy();
    }
  }

  /** The replica alone hears of a reset; nothing reaches the client any more. */
  resetReplica(): void {
    this.lose('in', 'out');
    for (const { replica } of this.#wires) replica.resetAndDestroy();
  }

  close(): void {
    this.#closed = true;
    this.#server.close();
    for (const { client, replica } of this.#wires) {
      client.destroy();
      replica.destroy();
    }
  }

  #pass(direction: Direction, from: Socket, to: Socket, wire: Wire): void {
    from.on('data', (chunk) => {
      if (!this.#lost.has(direction)) to.write(chunk);
    });
    from.on('end', () => {
      if (!this.#lost.has(direction)) to.end();
    });
    from.on('error', () => {});
    from.on('close', () => {
      if (!this.#lost.has(direction)) to.destroy();
      if (wire.client.destroyed && wire.replica.destroyed) this.#wires.delete(wire);
    });
  }
}

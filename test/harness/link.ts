/** A proxy in front of one node: passes, delays, holds, drips, loses one direction, cuts and resets, so that a test chooses the order. */
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** `in` is towards the node, `out` back to the caller. */
export type Direction = 'in' | 'out';
type Mode = 'flow' | 'hold' | 'swallow' | 'drip';
const BOTH: readonly Direction[] = ['in', 'out'];

class Wire {
  readonly caller: Socket;
  readonly node: Socket;
  readonly #link: Link;
  readonly #kept: Record<Direction, Buffer[]> = { in: [], out: [] };
  readonly #dripping = new Set<Direction>();
  #callerLeft = false;
  /** Bytes or an end are missing: no stream goes on after a gap, so this one can only break. */
  lossy = false;

  constructor(link: Link, caller: Socket, node: Socket) {
    this.#link = link;
    this.caller = caller;
    this.node = node;
    caller.on('data', (chunk) => this.#pass('in', chunk));
    node.on('data', (chunk) => this.#pass('out', chunk));
    for (const socket of [caller, node]) socket.on('error', () => {});
    caller.on('close', () => {
      this.#callerLeft = true;
      if (link.mode('in') === 'swallow') this.lossy = true;
      // What the network still carries arrives although the caller has given up.
      else if (this.#kept.in.length === 0) node.destroy();
    });
    node.on('close', () => {
      if (link.mode('out') === 'swallow') this.lossy = true;
      else caller.destroy();
    });
  }

  get callerLeft(): boolean {
    return this.#callerLeft;
  }

  get over(): boolean {
    return this.caller.destroyed && this.node.destroyed;
  }

  kept(direction: Direction): number {
    return this.#kept[direction].reduce((bytes, chunk) => bytes + chunk.length, 0);
  }

  /** What was held goes on, in its order. */
  flush(direction: Direction): void {
    for (const chunk of this.#kept[direction].splice(0)) this.to(direction).write(chunk);
    if (this.#callerLeft && direction === 'in') this.node.end();
  }

  to(direction: Direction): Socket {
    return direction === 'in' ? this.node : this.caller;
  }

  end(): void {
    this.caller.destroy();
    this.node.destroy();
  }

  #pass(direction: Direction, chunk: Buffer): void {
    const mode = this.#link.mode(direction);
    if (mode === 'swallow') {
      this.lossy = true;
      return;
    }
    const delayMs = this.#link.delayMs();
    if (mode === 'drip') {
      this.#kept[direction].push(chunk);
      this.#drip(direction);
    } else if (mode === 'hold' || this.#kept[direction].length > 0) {
      this.#kept[direction].push(chunk);
    } else if (delayMs === 0) {
      this.to(direction).write(chunk);
    } else {
      this.#kept[direction].push(chunk);
      setTimeout(() => this.#link.mode(direction) === 'flow' && this.flush(direction), delayMs);
    }
  }

  /** A byte a turn of the event loop, until nothing is left or the link is in another mode. */
  #drip(direction: Direction): void {
    if (this.#dripping.has(direction)) return;
    this.#dripping.add(direction);
    const next = (): void => {
      const kept = this.#kept[direction];
      const [first] = kept;
      if (first === undefined || this.#link.mode(direction) !== 'drip') {
        this.#dripping.delete(direction);
        return;
      }
      this.to(direction).write(first.subarray(0, 1));
      if (first.length === 1) kept.shift();
      else kept[0] = first.subarray(1);
      setImmediate(next);
    };
    next();
  }
}

export class Link {
  readonly #directory = mkdtempSync(join(tmpdir(), 'holdfast-link-'));
  readonly #server: Server;
  readonly #wires = new Set<Wire>();
  readonly #modes: Record<Direction, Mode> = { in: 'flow', out: 'flow' };
  readonly #tcp: boolean;
  #cut = false;
  /** How many connections came through so far. */
  made = 0;
  /** How long each chunk waits, in each direction; connections overtake each other, one connection keeps its order. */
  delayMs: () => number = () => 0;

  private constructor(node: string | number) {
    this.#tcp = typeof node === 'number';
    this.#server = createServer({ noDelay: true }, (caller) => {
      if (this.#cut) {
        caller.on('error', () => {});
        caller.destroy();
        return;
      }
      this.made += 1;
      const socket =
        typeof node === 'number'
          ? connect({ port: node, host: '127.0.0.1', noDelay: true })
          : connect({ path: node });
      const wire = new Wire(this, caller, socket);
      this.#wires.add(wire);
      for (const one of [caller, socket]) one.on('close', () => wire.over && this.#wires.delete(wire));
    });
  }

  /** Listens in front of the server at a path or a local port, and is of the same kind; only TCP knows resets. */
  static async to(node: string | number): Promise<Link> {
    const link = new Link(node);
    const where = link.#tcp ? { port: 0, host: '127.0.0.1' } : { path: link.path };
    await new Promise<void>((resolve) => link.#server.listen(where, resolve));
    return link;
  }

  get path(): string {
    return join(this.#directory, 'link.sock');
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return this.#tcp ? `redis://127.0.0.1:${this.port}` : `unix://${this.path}`;
  }

  mode(direction: Direction): Mode {
    return this.#modes[direction];
  }

  /** From now on what is sent in `direction` is kept. */
  hold(direction: Direction): void {
    this.#modes[direction] = 'hold';
  }

  /**
   * From now on what is sent in `direction` is lost, and both ends believe in the connection; not even the end of one
   * of them is heard at the other.
   */
  swallow(direction: Direction): void {
    this.#modes[direction] = 'swallow';
  }

  /** Nothing arrives either way, and nobody is told. */
  blackHole(): void {
    for (const direction of BOTH) this.swallow(direction);
  }

  /** From now on what is sent in `direction` arrives byte by byte. */
  drip(direction: Direction): void {
    this.#modes[direction] = 'drip';
  }

  /** What was kept arrives, oldest first, and the link is as good as new. */
  flow(): void {
    for (const direction of BOTH) {
      this.#modes[direction] = 'flow';
      for (const wire of this.#wires) {
        if (wire.lossy) wire.end();
        else wire.flush(direction);
      }
    }
  }

  kept(direction: Direction): number {
    return [...this.#wires].reduce((bytes, wire) => bytes + wire.kept(direction), 0);
  }

  /**
   * The callers' ends of all connections break, and the network keeps what it held on its way to the node until
   * `flow`: connections that are made from now on work at once, and overtake it.
   */
  strand(): void {
    for (const direction of BOTH) this.#modes[direction] = 'flow';
    for (const wire of this.#wires) wire.caller.destroy();
  }

  /** Connections that only the node still has. */
  get stranded(): number {
    return [...this.#wires].filter(({ callerLeft }) => callerLeft).length;
  }

  /** Both ends, or the one that `direction` leads to, hear an orderly end behind what was sent. */
  fin(...directions: readonly Direction[]): void {
    for (const wire of this.#wires) {
      for (const direction of directions.length === 0 ? BOTH : directions) wire.to(direction).end();
    }
  }

  /** Both ends, or the one that `direction` leads to, hear a reset; the other then goes as if its peer had left. */
  reset(...directions: readonly Direction[]): void {
    if (!this.#tcp) throw new Error('a unix socket knows no reset: make the link to a port');
    for (const wire of this.#wires) {
      for (const direction of directions.length === 0 ? BOTH : directions)
        wire.to(direction).resetAndDestroy();
    }
  }

  /** Every connection breaks and none comes through until `mend`. */
  cut(): void {
    this.#cut = true;
    for (const wire of this.#wires) wire.end();
  }

  mend(): void {
    this.#cut = false;
  }

  close(): void {
    this.cut();
    this.#server.close();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

/** A link to each server, and the list of nodes as the one who uses the links writes it. */
export async function linksTo(servers: readonly { readonly socketPath: string }[]) {
  const links = await Promise.all(servers.map(({ socketPath }) => Link.to(socketPath)));
  return {
    links,
    list: links.map(({ url }, index) => `${url}#n${index + 1}`).join(','),
    close: () => {
      for (const link of links) link.close();
    },
  };
}

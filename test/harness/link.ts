/** A proxy in front of one node: holds, delays, cuts, and swallows one direction, so that a test chooses the order. */
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** `in` is towards the node, `out` back to the caller. */
export type Direction = 'in' | 'out';
type Mode = 'flow' | 'hold' | 'swallow';

class Wire {
  readonly caller: Socket;
  readonly node: Socket;
  readonly #link: Link;
  readonly #kept: Record<Direction, Buffer[]> = { in: [], out: [] };
  #callerLeft = false;
  /** Bytes are missing: no stream goes on after a gap, so this one can only break. */
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
      // What the network still carries arrives although the caller has given up.
      if (this.#kept.in.length === 0) node.destroy();
    });
    node.on('close', () => caller.destroy());
  }

  kept(direction: Direction): number {
    return this.#kept[direction].reduce((bytes, chunk) => bytes + chunk.length, 0);
  }

  /** What was held goes on, in its order. */
  flush(direction: Direction): void {
    const socket = direction === 'in' ? this.node : this.caller;
    for (const chunk of this.#kept[direction].splice(0)) socket.write(chunk);
    if (this.#callerLeft && direction === 'in') this.node.end();
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
    if (mode === 'hold' || this.#kept[direction].length > 0) {
      this.#kept[direction].push(chunk);
    } else if (delayMs === 0) {
      (direction === 'in' ? this.node : this.caller).write(chunk);
    } else {
      this.#kept[direction].push(chunk);
      setTimeout(() => this.#link.mode(direction) === 'flow' && this.flush(direction), delayMs);
    }
  }
}

export class Link {
  readonly #directory = mkdtempSync(join(tmpdir(), 'holdfast-link-'));
  readonly #server: Server;
  readonly #wires = new Set<Wire>();
  readonly #modes: Record<Direction, Mode> = { in: 'flow', out: 'flow' };
  #cut = false;
  /** How long each chunk waits, in each direction; connections overtake each other, one connection keeps its order. */
  delayMs: () => number = () => 0;

  private constructor(nodePath: string) {
    this.#server = createServer((caller) => {
      if (this.#cut) {
        caller.on('error', () => {});
        caller.destroy();
        return;
      }
      const node = connect(nodePath);
      const wire = new Wire(this, caller, node);
      this.#wires.add(wire);
      node.on('close', () => this.#wires.delete(wire));
    });
  }

  /** Listens in front of the server at `nodePath`. */
  static async to(nodePath: string): Promise<Link> {
    const link = new Link(nodePath);
    await new Promise<void>((resolve) => link.#server.listen(link.path, resolve));
    return link;
  }

  get path(): string {
    return join(this.#directory, 'link.sock');
  }

  get url(): string {
    return `unix://${this.path}`;
  }

  mode(direction: Direction): Mode {
    return this.#modes[direction];
  }

  /** From now on what is sent in `direction` is kept. */
  hold(direction: Direction): void {
    this.#modes[direction] = 'hold';
  }

  /** From now on what is sent in `direction` is lost, and both ends believe in the connection. */
  swallow(direction: Direction): void {
    this.#modes[direction] = 'swallow';
  }

  /** What was kept arrives, oldest first, and the link is as good as new. */
  flow(): void {
    for (const direction of ['in', 'out'] as const) {
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

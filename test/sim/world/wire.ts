/** A connection between a replica and a node, as TCP has them: in order each way, and over for good once it broke. */
import type { AdminAnswer, AdminOp, NodeFacts } from '../../../src/nodes/admin.ts';
import type { News, Wake } from '../../../src/nodes/line.ts';
import type { Answer, NodeOp, Stamp } from '../../../src/nodes/node.ts';
import { type Direction, Lane, type Link, type Network, type Way } from './network.ts';
import type { NodeProcess } from './node-process.ts';
import type { Process } from './process.ts';

export type Question =
  | {
      readonly kind: 'votes';
      readonly stamp: Stamp;
      readonly ops: readonly NodeOp[];
      readonly replica: string;
    }
  | { readonly kind: 'admin'; readonly op: AdminOp }
  | { readonly kind: 'facts' }
  | { readonly kind: 'load' }
  | { readonly kind: 'listen'; readonly replica: string; readonly news: boolean };

export type Reply =
  | { readonly kind: 'votes'; readonly nowMicros: number; readonly answers: readonly Answer[] }
  | { readonly kind: 'admin'; readonly answer: AdminAnswer }
  | { readonly kind: 'facts'; readonly facts: NodeFacts }
  | { readonly kind: 'load' }
  | { readonly kind: 'listen' };

export type Published =
  | { readonly kind: 'wake'; readonly wake: Wake }
  | { readonly kind: 'news'; readonly news: News }
  | { readonly kind: 'forced'; readonly leaseRef: string };

/** What the replica's end of a connection hears. */
export interface WireEnd {
  onOpen(): void;
  onReply(id: number, reply: Reply): void;
  onPublished?(published: Published): void;
  /** Broken, refused, or closed by the node's end. */
  onBroken(): void;
}

export interface WireOptions {
  readonly network: Network;
  readonly link: Link;
  readonly node: NodeProcess;
  readonly process: Process;
  readonly end: WireEnd;
}

export class Wire {
  readonly #network: Network;
  readonly #node: NodeProcess;
  readonly #process: Process;
  readonly #end: WireEnd;
  readonly #ways: Readonly<Record<Direction, Way>>;
  readonly #lanes = { in: new Lane(), out: new Lane() };
  /** Which run of the node took the connection: a later one knows nothing of it. */
  #run: number | undefined;
  #open = true;

  constructor({ network, link, node, process, end }: WireOptions) {
    this.#network = network;
    this.#ways = { in: network.way(link, 'in'), out: network.way(link, 'out') };
    this.#node = node;
    this.#process = process;
    this.#end = end;
    // The kernel answers, even of a process that stands still.
    this.#send('in', () => {
      if (!node.up) this.breaks();
      else {
        this.#run = node.run;
        node.wires.add(this);
        this.#toReplica(() => this.#end.onOpen());
      }
    });
  }

  /** Whose it is on the replica's side. */
  get process(): Process {
    return this.#process;
  }

  ask(id: number, question: Question): void {
    this.#send('in', () => {
      const node = this.#node;
      // A connection that we closed is read to its end all the same; one of another run was refused.
      if (!node.up || node.run !== this.#run) this.breaks();
      else {
        node.process.run(() => {
          if (node.run === this.#run) node.take(this, id, question);
        }, this);
      }
    });
  }

  reply(id: number, reply: Reply): void {
    this.#toReplica(() => this.#end.onReply(id, reply));
  }

  publish(published: Published): void {
    this.#toReplica(() => this.#end.onPublished?.(published));
  }

  /** The node's end says that it is over, if that gets through. */
  breaks(): void {
    this.#node.forget(this);
    this.#toReplica(() => this.#breakHere());
  }

  /** By something in between, or by its own replica that noticed: what is under way goes its way. */
  reset(): void {
    this.#node.forget(this);
    this.#process.run(() => this.#breakHere(), this);
  }

  /** By the replica, on purpose or because it died. */
  close(): void {
    this.#open = false;
    this.#node.forget(this);
  }

  #breakHere(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#end.onBroken();
  }

  #toReplica(act: () => void): void {
    this.#send('out', () =>
      this.#process.run(() => {
        if (this.#open) act();
      }, this),
    );
  }

  #send(direction: Direction, deliver: () => void): void {
    this.#network.send(this.#ways[direction], deliver, { lane: this.#lanes[direction] });
  }
}

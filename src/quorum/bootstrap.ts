/** Bootstrap: the one-shot act that makes a cluster out of nodes that have never been one. */
import { type AdminAnswer, type AdminOp, detailOf, type NewMeta, type NodeFacts } from '../nodes/admin.ts';
import type { MemberNode } from '../nodes/member.ts';
import { SCHEMA } from '../nodes/node.ts';
import { factsFault, newQuarantineId } from '../nodes/quarantine.ts';
import { type Clock, pause } from '../std/clock.ts';
import type { Random } from '../std/random.ts';

export interface Report {
  readonly ok: boolean;
  readonly lines: readonly string[];
}

/** How long a bootstrap waits for nodes that start beside it. */
const CONTACT_MS = 15_000;
/** Another replica may be bootstrapping at this moment: a half-written cluster is looked at again. */
const LOOKS = 15;
const LOOK_AGAIN_MS = 200;
/** A disk that flushes its first write is slow to answer, and a bootstrap that gives up costs the cluster a quarantine. */
const ASKS = 10;

type State = Extract<AdminAnswer, { kind: 'state' }>;

/** The run id of the process behind a node, once it can be reached. */
export async function contact(node: Pick<MemberNode, 'ready'>): Promise<string | undefined> {
  return (await node.ready(CONTACT_MS))?.runId;
}

/** A node as far as a bootstrap needs it. */
export type BootNode = Pick<MemberNode, 'id' | 'ready' | 'facts' | 'admin'>;

interface BootstrapOptions {
  readonly nodes: readonly BootNode[];
  readonly cluster: string;
  readonly longestTtlMs: number;
  readonly clock: Clock;
  readonly random: Random;
}

/** What a claim says of itself: another bootstrap waits for it instead of taking it for lost memory. */
const CLAIM = 'claimed by a bootstrap';

/**
 * Makes a new cluster: only when every node can be reached and none bears a meta or a quarantine. One look at each is
 * no picture of one moment, so each clean node is first claimed with a quarantine id of ours and looked at again; only
 * when all still bear it is each meta written, by compare-and-set on (run, claim). A bootstrap that dies half-way
 * leaves quarantines, which is safe. docs/decisions/0003-what-the-model-says.md, C5 and C7
 */
export async function bootstrap(options: BootstrapOptions): Promise<Report> {
  const { nodes, clock } = options;
  const runs = await Promise.all(nodes.map((node) => contact(node)));
  const missing = nodes.filter((_, index) => runs[index] === undefined);
  if (missing.length > 0) {
    return { ok: false, lines: missing.map(({ id }) => `${id} cannot be reached; every node must be`) };
  }
  for (let look = 0; look < LOOKS; look += 1) {
    const states = await Promise.all(nodes.map((node) => insist(node, { kind: 'read' }, clock)));
    const read = states.filter((state): state is State => state.kind === 'state');
    if (read.length < nodes.length)
      return { ok: false, lines: ['a node did not answer; nothing was written'] };
    if (read.every(({ meta }) => meta !== undefined)) {
      return { ok: true, lines: ['every node bears a meta already; nothing to do'] };
    }
    const quarantined = nodes.filter((_, index) => (read[index]!.quarantine?.why ?? CLAIM) !== CLAIM);
    if (quarantined.length > 0) {
      return { ok: false, lines: quarantined.map(({ id }) => `${id} is in quarantine and must sit it out`) };
    }
    if (read.every(({ meta, quarantine }) => meta === undefined && quarantine === undefined)) {
      const report = await claimAndWrite(options, runs as string[]);
      if (report !== undefined) return report;
    }
    // Another replica is at it at this moment: what it writes is as good.
    await pause(clock, LOOK_AGAIN_MS);
  }
  return { ok: false, lines: ['some nodes bear a meta and some do not: those may have lost their memory'] };
}

/** Undefined: another bootstrap was first at the first node, and nothing was written. */
async function claimAndWrite(
  { nodes, cluster, longestTtlMs, clock, random }: BootstrapOptions,
  runs: readonly string[],
): Promise<Report | undefined> {
  const facts = await Promise.all(nodes.map((node) => factsOf(node, clock)));
  const unfit = nodes.flatMap((node, index) => {
    const fact = facts[index];
    const twin = runs.indexOf(runs[index]!) !== index ? 'is listed twice' : undefined;
    const gone = fact?.runId !== runs[index] ? 'has restarted meanwhile; nothing was written' : undefined;
    const fault = fact === undefined ? 'did not answer' : (factsFault(fact) ?? twin ?? gone);
    return fault === undefined ? [] : [`${node.id} ${fault}`];
  });
  if (unfit.length > 0) return { ok: false, lines: unfit };
  const id = newQuarantineId(random);
  // One order for all, whatever the order of the list: whoever has the first node has them all.
  const order = [...nodes.keys()].sort((a, b) => (nodes[a]!.id < nodes[b]!.id ? -1 : 1));
  for (const [at, index] of order.entries()) {
    const claim = { kind: 'quarantine', runId: runs[index]!, id, cluster, why: CLAIM, longestTtlMs } as const;
    const answer = await insist(nodes[index]!, claim, clock);
    if (ours(answer, id, runs[index]!)) continue;
    if (at === 0 && answer.kind === 'state') return undefined;
    return {
      ok: false,
      lines: [`${nodes[index]!.id} ${whyNotOurs(answer)}; what was claimed sits a quarantine out`],
    };
  }
  const reread = await Promise.all(nodes.map((node) => insist(node, { kind: 'read' }, clock)));
  const changed = nodes.flatMap((node, index) => {
    const answer = reread[index]!;
    if (ours(answer, id, runs[index]!)) return [];
    return [`${node.id} ${whyNotOurs(answer)}; it must sit a quarantine out`];
  });
  if (changed.length > 0) return { ok: false, lines: changed };
  const answers = await Promise.all(
    nodes.map((node, index) => {
      const { durable } = facts[index]!;
      const meta = { schema: SCHEMA, nodeId: node.id, cluster, runId: runs[index]!, durable, longestTtlMs };
      return create(node, id, meta, clock);
    }),
  );
  const lines = nodes.map((node, index) => {
    const answer = answers[index]!;
    return `${node.id}: ${answer.kind === 'done' ? 'ready' : detailOf(answer)}`;
  });
  return { ok: answers.every(({ kind }) => kind === 'done'), lines };
}

/**
 * Asks again for want of an answer. Each step compares what it finds with the run and the claim, so one that was done
 * although nobody heard of it, and one that arrives late, change nothing more.
 */
function insist(node: BootNode, op: AdminOp, clock: Clock): Promise<AdminAnswer> {
  return again(
    () => node.admin(op),
    ({ kind }) => kind !== 'failed',
    clock,
  );
}

function factsOf(node: BootNode, clock: Clock): Promise<NodeFacts | undefined> {
  return again(
    () => node.facts(),
    (facts) => facts !== undefined,
    clock,
  );
}

async function again<T>(ask: () => Promise<T>, isAnswer: (told: T) => boolean, clock: Clock): Promise<T> {
  for (let asked = 1; ; asked += 1) {
    const told = await ask();
    if (isAnswer(told) || asked >= ASKS) return told;
    await pause(clock, LOOK_AGAIN_MS);
  }
}

/** Without its claim a node bears the meta already that an earlier ask has written, or one as good. */
async function create(node: BootNode, id: string, meta: NewMeta, clock: Clock): Promise<AdminAnswer> {
  const answer = await insist(node, { kind: 'create', quarantineId: id, meta }, clock);
  if (answer.kind !== 'lost') return answer;
  const stands = await insist(node, { kind: 'read' }, clock);
  const made = stands.kind === 'state' && stands.quarantine === undefined ? stands.meta : undefined;
  return made?.runId === meta.runId && made.cluster === meta.cluster ? { kind: 'done' } : answer;
}

function whyNotOurs(answer: AdminAnswer): string {
  return answer.kind === 'state' ? 'was changed meanwhile' : `gave no answer of use (${detailOf(answer)})`;
}

/** Does the node bear our claim, on the run that we saw, and no meta? */
function ours(answer: AdminAnswer, id: string, runId: string): boolean {
  if (answer.kind !== 'state' || answer.meta !== undefined) return false;
  return answer.quarantine?.id === id && answer.quarantine.runId === runId;
}

/** Every interleaving of fenced writers, claimers and readers over one folder. */
import { type Answer, claiming, clearing, finding, publishing, sweeping } from '../../src/fencing/steps.ts';
import { draftOf, EMPTY, type Folder, keyOf, type Move, outcomes } from './fencing-folder.ts';

type Script = Generator<Move, string, Answer>;

export interface Participant {
  readonly name: string;
  readonly token: bigint;
  readonly script: () => Script;
}

let points = 0;

/** How far one participant is: what it was answered so far, which is all that its state depends on. Made once each. */
export class Point {
  readonly id: number;
  readonly told: readonly Answer[];
  /** Its next move, or what it returned. */
  readonly turn: IteratorResult<Move, string>;
  /** True once `claim` has returned to its caller. */
  readonly claimed: boolean;
  readonly #participant: Participant;
  readonly #after = new Map<string, Point>();

  constructor(participant: Participant, told: readonly Answer[] = [], claimed = false) {
    points += 1;
    this.id = points;
    this.told = told;
    this.claimed = claimed;
    this.#participant = participant;
    const script = participant.script();
    let turn = script.next();
    for (const answer of told) turn = script.next(answer);
    this.turn = turn;
  }

  after(answer: Answer): Point {
    const key = JSON.stringify(answer) ?? '';
    let point = this.#after.get(key);
    if (point === undefined) {
      const claimed = this.claimed || (!this.turn.done && this.turn.value.do === 'create');
      point = new Point(this.#participant, [...this.told, answer], claimed);
      this.#after.set(key, point);
    }
    return point;
  }
}

export interface World {
  readonly folder: Folder;
  readonly points: readonly Point[];
}

/** Breaks one rule: a step for which it returns an answer is not carried out. */
export type Breakage = (
  step: Move,
  participant: Participant,
  told: readonly Answer[],
) => { readonly answer: Answer } | undefined;

export interface Scene {
  readonly participants: readonly Participant[];
  readonly breakage?: Breakage;
  /** What is there at first; nothing unless said. */
  readonly from?: Partial<Folder>;
  /** Called at each publication, before it happens. */
  readonly onPlace?: (by: Participant, before: World, scene: Scene) => string | undefined;
  readonly always?: (world: World, scene: Scene) => string | undefined;
  /** True where nothing that follows is of interest. */
  readonly over?: (world: World, scene: Scene) => boolean;
  readonly atEnd?: (world: World, scene: Scene) => string | undefined;
}

/** Claims, writes and publishes. */
export function writer(token: bigint, replace: boolean): Participant {
  const draft = draftOf(token);
  function* script(): Script {
    const newer = yield* claiming(draft);
    if (newer !== undefined) return 'stale at its claim';
    yield { do: 'write', name: draft.part };
    const verdict = yield* publishing(draft, replace);
    if (verdict.kind === 'published' || verdict.kind === 'exists') yield* clearing(draft);
    return verdict.kind;
  }
  return { name: `writer ${token}`, token, script };
}

/** Claims, and is paused from then on. */
export function claimer(token: bigint, claim = claiming): Participant {
  function* script(): Script {
    return (yield* claim(draftOf(token))) === undefined ? 'claimed' : 'stale';
  }
  return { name: `claimer ${token}`, token, script };
}

/** Was paused just before it makes its `ready` file, its writer not ready either; ends where it sees that it is late. */
export function publisher(token: bigint): Participant {
  const draft = draftOf(token);
  function* script(): Script {
    yield { do: 'write', name: draft.part };
    const work = publishing(draft, true);
    work.next();
    work.next('whole');
    let turn = work.next(true);
    while (!turn.done && turn.value.do !== 'remove') turn = work.next(yield turn.value);
    return turn.done ? turn.value.kind : 'late';
  }
  return { name: `publisher ${token}`, token, script };
}

/** Looks at the published file and clears up, as `once` does. */
export function sweeper(): Participant {
  function* script(): Script {
    const found = yield* finding();
    if (found === undefined) return 'nothing';
    yield* sweeping(found);
    return 'swept';
  }
  return { name: 'sweeper', token: 0n, script };
}

export function reader(): Participant {
  function* script(): Script {
    const found = yield* finding();
    return found === undefined ? 'nothing' : `${found.mark} by ${found.token ?? 'nobody'}`;
  }
  return { name: 'reader', token: 0n, script };
}

/** One participant's possible next worlds; none if it has ended. */
function steps(scene: Scene, world: World, by: number): World[] {
  const point = world.points[by]!;
  if (point.turn.done) return [];
  const tell = (folder: Folder, answer: Answer): World => ({
    folder,
    points: world.points.with(by, point.after(answer)),
  });
  const broken = scene.breakage?.(point.turn.value, scene.participants[by]!, point.told);
  if (broken !== undefined) return [tell(world.folder, broken.answer)];
  return outcomes(world.folder, by, point.turn.value).map(([folder, answer]) =>
    answer === 'listing' ? { ...world, folder } : tell(folder, answer),
  );
}

export interface Search {
  readonly states: number;
  /** The first broken promise, with how it came about; undefined if there is none. */
  readonly broken: string | undefined;
  readonly ends: ReadonlySet<string>;
}

/** Visits every world that can be reached. */
export function searchAll(scene: Scene): Search {
  const first: World = {
    folder: { ...EMPTY, ...scene.from },
    points: scene.participants.map((participant) => new Point(participant)),
  };
  const seen = new Set<string>();
  const ends = new Set<string>();
  const open: World[] = [first];
  for (let world = open.pop(); world !== undefined; world = open.pop()) {
    const key = `${keyOf(world.folder)} ${world.points.map(({ id }) => id)}`;
    if (seen.has(key)) continue;
    seen.add(key);
    const nexts = scene.participants.flatMap((_, by) =>
      steps(scene, world, by).map((next) => ({ next, by })),
    );
    const broken = complaint(scene, world, nexts);
    if (broken !== undefined)
      return { states: seen.size, broken: `${broken}\n${pictured(scene, world)}`, ends };
    if (nexts.length === 0) ends.add(scene.participants.map((one, i) => said(one, world, i)).join(', '));
    if (scene.over?.(world, scene)) continue;
    open.push(...nexts.map(({ next }) => next));
  }
  return { states: seen.size, broken: undefined, ends };
}

function complaint(scene: Scene, world: World, nexts: readonly { next: World; by: number }[]) {
  for (const { next, by } of nexts) {
    if (next.folder.path === world.folder.path) continue;
    const wrong = scene.onPlace?.(scene.participants[by]!, world, scene);
    if (wrong !== undefined) return wrong;
  }
  return scene.always?.(world, scene) ?? (nexts.length === 0 ? scene.atEnd?.(world, scene) : undefined);
}

function said({ name }: Participant, { points: now }: World, index: number): string {
  return `${name} ${String(now[index]!.turn.value)}`;
}

function pictured({ participants }: Scene, world: World): string {
  const lines = participants.map(({ name }, i) => `${name}: ${JSON.stringify(world.points[i]!.told)}`);
  return [...lines, keyOf(world.folder)].join('\n');
}

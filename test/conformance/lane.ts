/** One client language going through one scenario, whole or without a feature, and where it stopped. */
import { Link } from '../harness/link.ts';
import { until } from '../harness/until.ts';
import { type Crew, Driver, Thrown } from './crew.ts';
import { type Feature, type Knockout, knockouts } from './knockouts.ts';
import type { ClientPlan, Language, Scenario, Step, Value } from './model.ts';
import { differences, filled } from './pattern.ts';
import { refusing } from './refusing.ts';
import type { ReplicaName, Stage } from './stage.ts';
import type { Filter } from './wire.ts';

/** A step ends long before, also on a busy machine. */
const PATIENCE_MS = 40_000;
/** Who lacks what a step shows is not waited for so long. */
const SHORT_MS = 4000;
const ASK_EVERY_MS = 100;

/** Undefined: it went through. */
export interface Stop {
  readonly step: number;
  readonly why: string;
}

/** Lets a step of the stage begin when all that still play have come to it. */
export interface Together {
  come(step: number, act: () => Promise<unknown>): Promise<unknown>;
}

interface Player {
  readonly plan: ClientPlan;
  readonly driver: Driver;
  readonly links: Link[];
}

type Answer = { readonly gave?: unknown; readonly threw?: Readonly<Record<string, unknown>> };

export class Lane {
  readonly language: Language;
  readonly without: Feature | undefined;
  readonly #scenario: Scenario;
  readonly #stage: Stage;
  readonly #crew: Crew;
  readonly #id: string;
  readonly #players = new Map<string, Player>();
  readonly #given = new Map<string, unknown>();
  readonly #later = new Map<string, Promise<Answer>>();

  constructor(
    scenario: Scenario,
    stage: Stage,
    crew: Crew,
    id: string,
    language: Language,
    without?: Feature,
  ) {
    this.#scenario = scenario;
    this.#stage = stage;
    this.#crew = crew;
    this.#id = id;
    this.language = language;
    this.without = without;
    this.#given.set('run', { file: stage.file(id) });
  }

  async play(together: Together): Promise<Stop | undefined> {
    let at = -1;
    try {
      for (const [name, plan] of Object.entries(this.#scenario.clients)) {
        await this.#player(name, plan);
        if (!plan.unopened) this.#expect({ by: name, do: 'open' }, await this.#open(name));
      }
      for (const [index, step] of this.#scenario.steps.entries()) {
        at = index;
        if (step.by !== 'stage') await this.#take(step);
        else {
          const act = () => this.#stage.act(step.do, { ...step.with });
          this.#expect(step, { gave: await together.come(index, act) });
        }
      }
      return undefined;
    } catch (error) {
      return { step: at, why: error instanceof Error ? error.message : String(error) };
    }
  }

  /** Nothing of this run is left in the processes that others share. */
  async end(): Promise<void> {
    const ends = [...this.#players].map(async ([name, { plan, driver, links }]) => {
      if (plan.alone) await driver.stop();
      else
        await within(driver.ask(this.#request(name, { by: name, do: 'drop' })), PATIENCE_MS).catch(() => {});
      for (const link of links) link.close();
    });
    await Promise.all(ends);
  }

  get #knockout(): Knockout | undefined {
    return this.without === undefined ? undefined : knockouts[this.without];
  }

  #patience({ shows = [], takes = 0 }: Step): number {
    const caught = this.without !== undefined && [shows].flat().includes(this.without);
    return caught ? SHORT_MS + takes : PATIENCE_MS + takes;
  }

  async #take(step: Step): Promise<void> {
    const { until: wanted, later, as } = step;
    if (later) {
      const answer = this.#ask(step);
      // Nobody may ever fetch it.
      answer.catch(() => {});
      this.#later.set(as!, answer);
      return;
    }
    if (wanted === undefined) {
      this.#expect(step, await within(this.#ask(step), this.#patience(step)));
      return;
    }
    let missing: string[] = [];
    let answer: Answer = {};
    const look = async (): Promise<boolean> => {
      answer = await within(this.#ask(step), this.#patience(step));
      missing = differences(answer.gave ?? answer.threw, this.#fill(wanted));
      return missing.length === 0;
    };
    await until('so it becomes', look, this.#patience(step), ASK_EVERY_MS).catch((error: unknown) => {
      throw new Error(`${error instanceof Error ? error.message : error}; ${missing.join('; ')}`);
    });
    this.#expect({ ...step, fails: answer.threw === undefined ? undefined : {} } as Step, answer);
  }

  #expect({ as, gives, fails }: Step, { gave, threw }: Answer): void {
    const complain = (found: unknown, wanted: Value): void => {
      const missing = differences(found, this.#fill(wanted));
      if (missing.length > 0) throw new Error(missing.join('; '));
    };
    if (threw !== undefined && fails === undefined) throw new Error(`threw ${JSON.stringify(threw)}`);
    if (threw === undefined && fails !== undefined)
      throw new Error(`gave ${JSON.stringify(gave)} and threw nothing`);
    if (fails !== undefined) complain(threw, fails);
    if (gives !== undefined) complain(gave, gives);
    if (as !== undefined) this.#given.set(as, gave ?? threw);
  }

  #fill(value: Value): Value {
    return filled(value, this.#given, this.#id);
  }

  async #ask(step: Step): Promise<Answer> {
    try {
      return { gave: await this.#does(step) };
    } catch (error) {
      if (error instanceof Thrown) return { threw: error.fields };
      throw error;
    }
  }

  /** What is done to a client, rather than by it, is done here. */
  async #does(step: Step): Promise<unknown> {
    const { by, do: what, of = '' } = step;
    const given = this.#fill(step.with ?? {}) as Record<string, unknown>;
    if (by === 'outside') return this.#stage.outside(what, given, `${this.#id} ${of || step.as}`);
    const { driver, links } = this.#players.get(by)!;
    if (what === 'open') return (await this.#open(by)).gave;
    if (what === 'answer') {
      const { gave, threw } = await this.#later.get(of)!;
      if (threw !== undefined) throw new Thrown(threw);
      return gave;
    }
    if (what === 'cut' || what === 'mend') {
      const at = given.replica === undefined ? -1 : this.#stage.names.indexOf(given.replica as ReplicaName);
      return links.filter((_, index) => at < 0 || index === at).map((link) => link[what]());
    }
    if (what === 'hush') return (['in', 'out'] as const).map((way) => links[0]!.swallow(way));
    if (what === 'signal') return driver.signal(given.signal as NodeJS.Signals);
    if (what === 'gone') return { code: await driver.ended(this.#patience(step)) };
    if (what === 'told') {
      const seen = driver.news.filter(
        ({ lease, event }) => lease === this.#lease(of) && event === given.event,
      );
      return { times: seen.length, last: seen.at(-1)?.told ?? null };
    }
    return driver.ask(this.#request(by, step));
  }

  #request(client: string, { do: op, of, as, with: given = {} }: Step) {
    return {
      op,
      client: `${this.#id}:${client}`,
      lease: this.#lease(of ?? as ?? ''),
      with: this.#fill(given),
    };
  }

  #lease(name: string): string {
    return `${this.#id}:${name}`;
  }

  async #player(name: string, plan: ClientPlan): Promise<void> {
    const without = this.#knockout?.driver;
    const driver = await (plan.alone
      ? Driver.start(this.language, without)
      : this.#crew.shared(this.language, without));
    this.#players.set(name, { plan, driver, links: [] });
  }

  async #open(name: string): Promise<Answer> {
    const { plan, driver, links } = this.#players.get(name)!;
    const { knows = this.#stage.names, alone: _, cable, unopened: _u, refused, ...rest } = plan;
    const wire = refused === undefined ? this.#knockout?.wire : () => refusing(refused);
    const addresses = await Promise.all(
      knows.map(async (replica) => {
        const path = await this.#door(replica, wire, refused?.reason ?? String(this.without));
        if (!cable || path === '') return `unix:${path || '/nobody/listens/here.sock'}`;
        links.push(await Link.to(path));
        return `unix:${links.at(-1)!.path}`;
      }),
    );
    const given = { ...rest, addresses };
    const request = {
      ...this.#request(name, { by: name, do: 'open' }),
      with: this.#knockout?.open?.(given) ?? given,
    };
    return this.#answer(driver.ask(request));
  }

  /** Empty: where nobody listens. */
  async #door(name: ReplicaName | 'nobody', wire: (() => Filter) | undefined, key: string): Promise<string> {
    return name === 'nobody' ? '' : this.#stage.path(name, key, wire);
  }

  async #answer(asked: Promise<unknown>): Promise<Answer> {
    try {
      return { gave: await within(asked, PATIENCE_MS) };
    } catch (error) {
      if (error instanceof Thrown) return { threw: error.fields };
      throw error;
    }
  }
}

/** As `answer`, or an error when it does not come in time. */
async function within<T>(answer: Promise<T>, withinMs: number): Promise<T> {
  let over = false;
  const seen = () => {
    over = true;
  };
  answer.then(seen, seen);
  await until('an answer', () => over, withinMs);
  return answer;
}

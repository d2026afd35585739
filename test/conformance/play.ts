/** Plays scenarios: all languages, whole and knocked out, at once on one stage, in step wherever the stage is disturbed. */
import type { Crew } from './crew.ts';
import type { Feature } from './knockouts.ts';
import { Lane, type Stop, type Together } from './lane.ts';
import { featuresOf, type Language, languagesOf, type Scenario } from './model.ts';
import { Stage } from './stage.ts';

export interface Part {
  readonly language: Language;
  readonly without: Feature | undefined;
}

/** Who plays: each language, and each without each feature that the scenario shows. */
export function partsOf(scenario: Scenario, languages: readonly Language[]): Part[] {
  const spoken = languagesOf(scenario).filter((language) => languages.includes(language));
  return spoken.flatMap((language) =>
    [undefined, ...featuresOf(scenario)].map((without) => ({ language, without })),
  );
}

const keyOf = ({ language, without }: Part): string => `${language}${without ? ` without ${without}` : ''}`;

/** Those who play go on together from each step of the stage, or drop out before it. */
class Company implements Together {
  #playing: number;
  readonly #come = new Map<
    number,
    { acts: (() => Promise<unknown>)[]; go: ((what: Promise<unknown>) => void)[] }
  >();

  constructor(playing: number) {
    this.#playing = playing;
  }

  come(step: number, act: () => Promise<unknown>): Promise<unknown> {
    const here = this.#come.get(step) ?? { acts: [], go: [] };
    this.#come.set(step, here);
    here.acts.push(act);
    const together = new Promise<unknown>((resolve) => here.go.push(resolve));
    this.#look();
    return together;
  }

  leave(): void {
    this.#playing -= 1;
    this.#look();
  }

  #look(): void {
    for (const [step, { acts, go }] of this.#come) {
      if (go.length < this.#playing) continue;
      this.#come.delete(step);
      const done = acts[0]!();
      for (const on of go) on(done);
    }
  }
}

let runs = 0;

/** How each part ended. */
export type Run = ReadonlyMap<string, Promise<Stop | undefined>>;

export const stopOf = (run: Run, part: Part): Promise<Stop | undefined> => run.get(keyOf(part))!;

/** Begins to play; the stage is opened for it where `stage` is not given. */
export function play(scenario: Scenario, parts: readonly Part[], crew: Crew, stage?: Promise<Stage>): Run {
  const opened = stage ?? Stage.open(scenario.stage, scenario.env);
  const company = new Company(parts.length);
  runs += 1;
  const run = runs;
  const played = parts.map(async ({ language, without }, index) => {
    const lane = new Lane(scenario, await opened, crew, `r${run}l${index}`, language, without);
    try {
      return await lane.play(company);
    } finally {
      company.leave();
      await lane.end();
    }
  });
  if (stage === undefined) {
    void Promise.allSettled(played).then(async () => (await opened).close());
  }
  return new Map(parts.map((part, index) => [keyOf(part), played[index]!]));
}

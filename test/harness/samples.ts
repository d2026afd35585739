/** What a replica's /metrics says, as numbers. */
import { until } from './until.ts';

export class Samples {
  readonly text: string;
  readonly #values: ReadonlyMap<string, number>;

  constructor(text: string) {
    this.text = text;
    const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    this.#values = new Map(
      lines.map((line) => {
        const at = line.lastIndexOf(' ');
        return [line.slice(0, at), Number(line.slice(at + 1))];
      }),
    );
  }

  static async of(httpAddress: string): Promise<Samples> {
    return new Samples(await (await fetch(`http://${httpAddress}/metrics`)).text());
  }

  /** `name` or `name{label="value",...}` to the letter: a series that is not there is a failure. */
  value(series: string): number {
    const value = this.#values.get(series);
    if (value === undefined) throw new Error(`no series ${series}`);
    return value;
  }

  /** Of a series that begins with its first event, such as a refusal's reason: 0 before it. */
  count(series: string): number {
    return this.#values.get(series) ?? 0;
  }
}

/** Waits until each series has grown by so much since before `act`, as things follow from it. */
export async function grows(
  httpAddress: string,
  by: Readonly<Record<string, number>>,
  act: () => Promise<unknown>,
): Promise<void> {
  const before = await Samples.of(httpAddress);
  await act();
  await becomes(
    httpAddress,
    Object.fromEntries(
      Object.entries(by).map(([series, more]) => [
        series,
        more === 0 ? before.value(series) : before.count(series) + more,
      ]),
    ),
  );
}

export async function becomes(httpAddress: string, values: Readonly<Record<string, number>>): Promise<void> {
  let now: Record<string, number> = {};
  const look = async (): Promise<boolean> => {
    const samples = await Samples.of(httpAddress);
    now = Object.fromEntries(Object.keys(values).map((series) => [series, samples.count(series)]));
    return Object.entries(values).every(([series, value]) => now[series] === value);
  };
  await until('the metrics say so', look, 15_000, 20).catch((error: unknown) => {
    throw new Error(`${String(error)}; wanted ${JSON.stringify(values)}, there is ${JSON.stringify(now)}`);
  });
}

/** A client whose replica has fallen silent goes on at another one, without losing its lease. */
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { languages, nowMs, type Places, Shift } from '../harness/client-work.ts';
import { withoutPython } from '../harness/program.ts';
import { Scene } from '../harness/scene.ts';
import { until } from '../harness/until.ts';

const TTL_MS = 5000;
const KEEPALIVE_MS = [500, 500] as const;

let scene: Scene;
let places: Places;

beforeAll(async () => {
  scene = await Scene.open();
  const [one, two] = await Promise.all([scene.process(), scene.process()]);
  places = { holders: one.address, rival: two.address, others: [two.address] };
});
afterAll(() => scene.close());

test(`a replica that answers nothing is left after the keepalive, and no step of the work is missing${withoutPython}`, async () => {
  const wishes = languages.map((language) => ({ language, looks: 'check' as const }));
  const spans = { ttlMs: TTL_MS, graceMs: TTL_MS, keepaliveMs: KEEPALIVE_MS };
  const shift = await Shift.begin(places, 'silent', wishes, spans);
  onTestFinished(() => shift.end());
  for (const { network } of shift.workers) network.lose('in', 'out');
  const endMs = nowMs() + TTL_MS;
  for (const worker of shift.workers) {
    const works = () => (worker.timesMs.at(-1) ?? 0) > endMs || worker.said('lost') !== undefined;
    await until(`${worker.name} works past what it was promised before`, works);
    expect(worker.said('lost'), worker.name).toBeUndefined();
    expect(shift.granted(worker.name)).toBe(false);
  }
});

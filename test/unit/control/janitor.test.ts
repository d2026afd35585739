/** The janitor over stand-ins: when it looks, what it needs for that, and what it says when another replica does the work. */
import { describe, expect, test } from 'vitest';
import { defaultThresholds } from '../../../src/control/alerts/observation.ts';
import { JanitorGauges } from '../../../src/control/janitor/gauges.ts';
import { Janitor, type JanitorOptions } from '../../../src/control/janitor/janitor.ts';
import type { AcquireAsk, KeptNews, LockEvent } from '../../../src/locks/locks.ts';
import type { Glance, Mend, Page, Sight } from '../../../src/locks/mend.ts';
import { ManualClock } from '../../../src/std/clock.ts';

const EVERY_MS = 1000;

function glance(resource: string, more: Partial<Glance> = {}): Glance {
  const plain = { holders: [], queueLength: 0, lined: false, mark: '1o', split: false };
  return { resource, ...plain, ...more };
}

const event = { type: 'expired', resource: 'a' } as unknown as LockEvent;

function sight(resource: string, found: number): Sight {
  const finding = { kind: 'undone_vote', node: 'n1', resource, detail: '' } as const;
  const remains = Array.from({ length: found }, () => ({ node: 0, finding }));
  return { kind: 'sight', resource, waiters: [], events: [event], remains };
}

/** One replica's janitor, and everything around it. */
class Stage {
  readonly clock = new ManualClock();
  readonly gauges = new JanitorGauges(['other']);
  readonly said: string[] = [];
  readonly asks: AcquireAsk[] = [];
  readonly looked: string[] = [];
  readonly mended: string[] = [];
  readonly backfilled: number[] = [];
  pages: Glance[][] = [[]];
  /** How much there is to find at each name. */
  found = 0;
  free = true;
  news: KeptNews | undefined;
  onPage: (() => void) | undefined;
  readonly janitor: Janitor;

  constructor(more: Partial<JanitorOptions> = {}) {
    this.janitor = new Janitor({
      locks: { hold: async (ask, _, news) => this.#hold(ask, news) },
      mend: this.#mend(),
      alone: false,
      replica: 'r1',
      on: true,
      everyMs: EVERY_MS,
      maxTtlMs: 60_000,
      gauges: this.gauges,
      classOf: () => 'other',
      clock: this.clock,
      notice: () => {},
      observer: {
        thresholds: defaultThresholds,
        observed: (now) => void this.said.push(`observed ${now.length}`),
        scannedElsewhere: () => void this.said.push('elsewhere'),
      },
      backfill: (events) => this.backfilled.push(events.length),
      ...more,
    });
  }

  async #hold(ask: AcquireAsk, news: KeptNews) {
    this.asks.push(ask);
    if (!this.free)
      return {
        kind: 'busy',
        holders: [],
        queueLength: 0,
        position: 0,
        waitElapsed: false,
        retryAfterMs: 1,
      } as const;
    this.news = news;
    const kept = { name: {}, end: (how: string) => void this.said.push(how) };
    return { kind: 'granted', lease: {}, kept } as unknown as Awaited<
      ReturnType<JanitorOptions['locks']['hold']>
    >;
  }

  #mend(): Mend {
    return {
      page: async (after) => {
        this.onPage?.();
        const at = after === '' ? 0 : Number(after);
        const glances = this.pages[at] ?? [];
        return { kind: 'page', glances, next: at + 1 < this.pages.length ? String(at + 1) : '' } as Page;
      },
      look: async (resource, deep) => {
        this.looked.push(deep ? `${resource} deep` : resource);
        return sight(resource, this.mended.includes(resource) ? 0 : this.found);
      },
      mend: async ({ resource, remains }) => {
        this.mended.push(resource);
        return remains.map(({ finding }) => ({ ...finding, mended: true }));
      },
    };
  }

  /** What one gauge shows. */
  value(name: string): number {
    const family = this.gauges.families.find((one) => one.name === name)!;
    return family.get().values.reduce((sum, { value }) => sum + value, 0);
  }

  async tick(ms = EVERY_MS): Promise<void> {
    this.clock.advance(ms);
    for (let turn = 0; turn < 200; turn += 1) {
      await undefined;
      if (turn % 10 === 0) this.clock.advance(5);
    }
  }
}

describe('its post', () => {
  test('is asked for without waiting, each time, until it is had; then each time is a look', async () => {
    const stage = new Stage();
    stage.free = false;
    stage.janitor.start();
    await stage.tick();
    await stage.tick();
    expect(stage.asks.map(({ resources, waitMs }) => [...resources, waitMs])).toEqual([
      ['~/janitor', 0],
      ['~/janitor', 0],
    ]);
    expect([stage.said, stage.value('holdfast_janitor_active')]).toEqual([[], 0]);
    stage.free = true;
    await stage.tick();
    await stage.tick();
    expect(stage.asks.length).toBe(3);
    expect(stage.said).toEqual(['observed 0', 'observed 0']);
    expect(stage.value('holdfast_janitor_active')).toBe(1);
    expect(stage.value('holdfast_janitor_last_run_timestamp_seconds')).toBeGreaterThan(0);
  });

  test('lost in the middle: the rest is left, and what it saw counts no more, neither way', async () => {
    const stage = new Stage();
    stage.janitor.start();
    await stage.tick();
    stage.pages = [[glance('a')], [glance('b')]];
    stage.found = 1;
    stage.onPage = () => stage.news?.lost({ reason: 'expired', leaseRef: '', token: 1n, detail: '' });
    await stage.tick();
    expect(stage.said).toEqual(['observed 0', 'elsewhere']);
    expect([stage.looked, stage.mended]).toEqual([[], []]);
    expect(stage.value('holdfast_janitor_active')).toBe(0);
    expect(stage.value('holdfast_janitor_last_run_timestamp_seconds')).toBe(0);
  });

  test('is given up to who asks for it, and when the replica stops', async () => {
    const stage = new Stage();
    stage.janitor.start();
    await stage.tick();
    stage.news?.yieldRequested({ owner: 'other', priority: 1, waitedMs: 1 });
    await stage.tick();
    expect(stage.said).toEqual(['observed 0', 'closed', 'elsewhere']);
    await stage.tick();
    await stage.janitor.stop();
    expect(stage.said.slice(3)).toEqual(['observed 0', 'closed', 'elsewhere']);
    await stage.tick();
    expect(stage.asks.length).toBe(2);
  });

  test('is not needed where no other replica is', async () => {
    const stage = new Stage({ alone: true });
    stage.janitor.start();
    await stage.tick();
    expect([stage.asks, stage.said]).toEqual([[], ['observed 0']]);
  });
});

describe('a look', () => {
  test('goes closer only where something has changed, is split or waits', async () => {
    const stage = new Stage();
    stage.pages = [
      [glance('same'), glance('split', { split: true }), glance('line', { queueLength: 1, lined: true })],
    ];
    stage.janitor.start();
    await stage.tick();
    expect(stage.looked.splice(0)).toEqual(['same', 'split deep', 'line']);
    await stage.tick();
    expect(stage.looked.splice(0)).toEqual(['split deep', 'line']);
    stage.pages = [[glance('same', { mark: '2o' })]];
    await stage.tick();
    expect(stage.looked).toEqual(['same']);
  });

  test('mends, counts what it mended, and hands on what the nodes remember', async () => {
    const stage = new Stage();
    stage.pages = [[glance('a'), glance('~/janitor')], [glance('b')]];
    stage.found = 2;
    stage.janitor.start();
    await stage.tick();
    expect(stage.mended.sort()).toEqual(['a', 'b', '~/janitor']);
    expect(stage.value('holdfast_janitor_findings_total')).toBe(6);
    // Of callers' locks only: before and after.
    expect(stage.backfilled).toEqual([1, 1, 1, 1]);
  });
});

describe('by hand', () => {
  test('a dry run tells all and changes nothing, wherever the janitor is', async () => {
    const stage = new Stage();
    stage.free = false;
    stage.pages = [[glance('a')]];
    stage.found = 1;
    const report = await stage.janitor.run(true);
    expect(report).toMatchObject({ kind: 'report', found: 1, lookedAt: 1, findings: [{ mended: false }] });
    expect([stage.asks, stage.mended, stage.backfilled]).toEqual([[], [], []]);
    expect(stage.value('holdfast_janitor_findings_total')).toBe(0);
  });

  test('a run waits for the post, with priority, and says so if another keeps it', async () => {
    const stage = new Stage();
    stage.free = false;
    expect(await stage.janitor.run(false)).toMatchObject({ kind: 'refusal', reason: 'QUOTA' });
    expect(stage.asks).toMatchObject([{ waitMs: 30_000, priority: 1 }]);
  });

  test('a run where the janitor is off gives the post back, and shows nothing', async () => {
    const stage = new Stage({ on: false });
    stage.pages = [[glance('a')]];
    stage.found = 1;
    expect(await stage.janitor.run(false)).toMatchObject({ found: 1, findings: [{ mended: true }] });
    expect(stage.said).toEqual(['closed']);
    expect(stage.value('holdfast_janitor_last_run_timestamp_seconds')).toBe(0);
  });
});

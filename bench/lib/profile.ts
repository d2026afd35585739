/** Where a process spends its CPU: a sampled profile, added up by the rooms of the service and the packages it stands on. */
import { Session } from 'node:inspector/promises';
import { fileURLToPath } from 'node:url';

/** Percent of the time that the process did not idle, in functions of this name itself. */
export interface Share {
  /** A room, a package, or a part of Node. */
  readonly where: string;
  readonly percent: number;
  /** Its most expensive functions. */
  readonly functions: readonly string[];
}

const INTERVAL_MICROS = 200;
const FUNCTIONS = 4;
const ROOT = fileURLToPath(new URL('../../', import.meta.url));

function placeOf(url: string, name: string): string {
  if (url === '') return name.startsWith('(') ? name : '(native)';
  const path = url.replace('file://', '').replace(ROOT, '');
  const [, found] = /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path) ?? [];
  if (found !== undefined) return found;
  return path.split('/').slice(0, 2).join('/').replace(/\.ts$/, '');
}

export class CpuProfile {
  readonly #session: Session;

  private constructor(session: Session) {
    this.#session = session;
  }

  static async begin(): Promise<CpuProfile> {
    const session = new Session();
    session.connect();
    await session.post('Profiler.enable');
    await session.post('Profiler.setSamplingInterval', { interval: INTERVAL_MICROS });
    await session.post('Profiler.start');
    return new CpuProfile(session);
  }

  async end(): Promise<Share[]> {
    const { profile } = await this.#session.post('Profiler.stop');
    this.#session.disconnect();
    const places = new Map<string, Map<string, number>>();
    let all = 0;
    for (const { callFrame, hitCount = 0 } of profile.nodes) {
      const place = placeOf(callFrame.url, callFrame.functionName);
      if (hitCount === 0 || place === '(idle)') continue;
      all += hitCount;
      const functions = places.get(place) ?? new Map<string, number>();
      places.set(place, functions);
      const name = callFrame.functionName || `line ${callFrame.lineNumber + 1}`;
      functions.set(name, (functions.get(name) ?? 0) + hitCount);
    }
    const percent = (hits: number): number => (100 * hits) / all;
    return [...places]
      .map(([where, functions]) => {
        const sorted = [...functions].sort(([, a], [, b]) => b - a);
        const hits = sorted.reduce((total, [, count]) => total + count, 0);
        const named = sorted
          .slice(0, FUNCTIONS)
          .map(([name, count]) => `${name} ${percent(count).toFixed(1)}`);
        return { where, percent: percent(hits), functions: named };
      })
      .sort((a, b) => b.percent - a.percent);
  }
}

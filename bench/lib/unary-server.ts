/** The whole service with what it is measured against beside it, in a process of its own that says what it has used. */
import { startReplica } from '../../src/app.ts';
import { loadSettings } from '../../src/config.ts';
import { Spread } from '../../src/control/families.ts';
import { limits } from '../../src/domain/limits.ts';
import { serveParent } from './children.ts';
import { ownCpuMicros } from './cpu.ts';
import { noopService } from './noop.ts';
import { CpuProfile, type Share } from './profile.ts';
import { collectGarbage } from './report.ts';

export interface ServerState {
  readonly address: string;
  readonly httpAddress: string;
  readonly cpuMicros: number;
  /** After a collection, if one was asked for. */
  readonly memory?: NodeJS.MemoryUsage;
  /** Since the profile was begun, if its end was asked for. */
  readonly profile?: readonly Share[];
}

export interface ServerQuestion {
  readonly also?: 'collect garbage' | 'begin a profile' | 'end the profile';
}

const BURDEN_MS = 0.002;

/** A build that sends one EVALSHA for each operation: the benches must notice. */
if (process.argv[2] === 'slowed') (limits as { operationsPerBatch: number }).operationsPerBatch = 1;

/** A build whose metrics take their time: the benches must notice, too. */
if (process.argv[2] === 'burdened') {
  const { observe } = Spread.prototype;
  Spread.prototype.observe = function burdened(value) {
    const untilMs = performance.now() + BURDEN_MS;
    while (performance.now() < untilMs);
    observe.call(this, value);
  };
}

// Unless a bench asks for it: neither writes to this user's state, nor looks at locks while others are measured.
const QUIET = { HOLDFAST_ARCHIVE: 'off', HOLDFAST_JANITOR: '0' };
const loaded = loadSettings({ env: { ...QUIET, ...process.env } });
if (!loaded.ok) throw new Error(loaded.problems.join('\n'));
const { addresses, httpAddress } = await startReplica(loaded.settings, {
  extraServices: [noopService],
  // Nothing is counted: what is left is what the locks cost without it.
  unmeasured: process.argv[2] === 'unmeasured',
});
const state = (): ServerState => ({ address: addresses[0]!, httpAddress, cpuMicros: ownCpuMicros() });
let profile: CpuProfile | undefined;

serveParent<ServerQuestion, ServerState>(state(), async ({ also }) => {
  if (also === 'collect garbage') {
    collectGarbage();
    return { ...state(), memory: process.memoryUsage() };
  }
  if (also === 'begin a profile') profile = await CpuProfile.begin();
  if (also === 'end the profile') return { ...state(), profile: await profile!.end() };
  return state();
});

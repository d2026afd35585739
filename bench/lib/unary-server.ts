/** The whole service with a no-op beside it, in a process of its own that says how much CPU it has used. */
import { startReplica } from '../../src/app.ts';
import { loadSettings } from '../../src/config.ts';
import { serveParent } from './children.ts';
import { ownCpuMicros } from './cpu.ts';
import { noopService } from './noop.ts';

export interface ServerState {
  readonly address: string;
  readonly httpAddress: string;
  readonly cpuMicros: number;
}

const loaded = loadSettings({ argv: [] });
if (!loaded.ok) throw new Error(loaded.problems.join('\n'));
const { addresses, httpAddress } = await startReplica(loaded.settings, { extraServices: [noopService] });
const state = (): ServerState => ({ address: addresses[0]!, httpAddress, cpuMicros: ownCpuMicros() });
serveParent<object, ServerState>(state(), state);

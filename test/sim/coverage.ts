/** How much of what decides about locks the simulation runs: `npm run sim:coverage -- [options of run.ts]`. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { coveredOf, LEAST_PERCENT, ROOMS, shareOf, spansOf } from './covered.ts';

const folder = mkdtempSync(join(tmpdir(), 'holdfast-sim-'));
const run = fileURLToPath(new URL('run.ts', import.meta.url));
spawnSync(process.execPath, [run, ...process.argv.slice(2)], {
  env: { ...process.env, NODE_V8_COVERAGE: folder },
  stdio: 'inherit',
});
let enough = true;
for (const room of ROOMS) {
  const files = coveredOf(room, folder);
  const share = shareOf(files);
  enough &&= share >= LEAST_PERCENT;
  console.log(`\n${room}: ${share.toFixed(1)} % of its lines`);
  for (const { path, lines, missed } of files.filter((file) => file.missed.length > 0))
    console.log(`  ${path}: ${missed.length} of ${lines} not run: ${spansOf(missed)}`);
}
rmSync(folder, { recursive: true, force: true });
process.exitCode = enough ? 0 : 1;

/** The entry of a worker: `holdfast serve` starts it when HOLDFAST_WORKERS is above 1; it is no command. */
import { enableCompileCache } from 'node:module';

enableCompileCache();
const { theApp } = await import('./app.ts');

// With its primary the reader of its lines is gone.
process.stdout.on('error', () => {});
process.stderr.on('error', () => {});

process.exit(await (await theApp()).work());

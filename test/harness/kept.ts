/** How many leases the streams of a replica keep, by its own metrics. */
import { until } from './until.ts';

export async function keeps({ http }: { readonly http: string }, count: number): Promise<void> {
  let kept = -1;
  await until(`streams keep ${count} leases there`, async () => {
    const text = await (await fetch(`http://${http}/metrics`)).text();
    kept = Number(/^holdfast_kept_leases (\d+)$/m.exec(text)?.[1]);
    return kept === count;
  }).catch((error: unknown) => {
    throw new Error(`${String(error)}; it is ${kept}`);
  });
}

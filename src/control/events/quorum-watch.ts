/** Makes an event of it when no majority of nodes votes any more, and when one does again. */
import type { Happening, Probe } from '../../domain/probe.ts';
import type { Clock } from '../../std/clock.ts';

/** Of the start nothing is told: no node has answered yet, and nothing was lost. */
export function watchQuorum(
  nodes: readonly string[],
  clock: Clock,
  happened: (happening: Happening) => void,
): Pick<Probe, 'nodeState'> {
  const ready = new Map(nodes.map((node) => [node, false]));
  const majority = Math.floor(nodes.length / 2) + 1;
  let had: boolean | undefined;
  return {
    nodeState(node, state) {
      if (!ready.has(node)) return;
      ready.set(node, state === 'ready');
      const absent = nodes.filter((one) => ready.get(one) !== true);
      const has = nodes.length - absent.length >= majority;
      if (has === had || (had === undefined && !has)) return;
      const first = had === undefined;
      had = has;
      if (first) return;
      happened({
        type: has ? 'quorum_regained' : 'quorum_lost',
        timeMs: Math.floor(clock.wallMicros() / 1000),
        resources: [],
        owner: '',
        lease: undefined,
        reason: absent.length === 0 ? '' : `without ${absent.join(', ')}`,
      });
    },
  };
}

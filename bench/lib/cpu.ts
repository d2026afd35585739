/** CPU time of other processes, from /proc/PID/stat. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

const TICK_MICROS = 1_000_000 / Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));

/** User and system time of all threads of a process, in microseconds, to one tick (mostly 10 ms). */
export function cpuMicros(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The second field is the program's name in brackets, which may hold anything.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_MICROS;
}

export function ownCpuMicros(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/** Names and ids of the processes whose CPU is counted; this very process is 0. */
export type Watched = Readonly<Record<string, number>>;

/** Starts counting; the returned function says what each process has used since. */
export function countCpu(watched: Watched): () => Record<string, number> {
  const read = (): [string, number][] =>
    Object.entries(watched).map(([name, pid]) => [name, pid === 0 ? ownCpuMicros() : cpuMicros(pid)]);
  const before = Object.fromEntries(read());
  return () => Object.fromEntries(read().map(([name, micros]) => [name, micros - before[name]!]));
}

/** What a benchmark prints, and the gates by which it passes or fails. */
import { cpus, loadavg } from 'node:os';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

export interface Gate {
  readonly name: string;
  readonly passed: boolean;
  readonly detail: string;
}

export function say(line = ''): void {
  process.stdout.write(`${line}\n`);
}

export function gate(name: string, passed: boolean, detail: string): Gate {
  return { name, passed, detail };
}

/** Prints each gate; true if all passed. */
export function judge(gates: readonly Gate[]): boolean {
  for (const { name, passed, detail } of gates) say(`${passed ? 'PASS' : 'FAIL'}  ${name}: ${detail}`);
  return gates.every(({ passed }) => passed);
}

export function heading(title: string): void {
  const load = loadavg()
    .map((figure) => figure.toFixed(2))
    .join(' ');
  say(`\n== ${title} (${cpus().length} cores, load average ${load}, Node ${process.version})`);
}

export function fixed(figure: number, digits = 1): string {
  return Number.isFinite(figure) ? figure.toFixed(digits) : 'n/a';
}

/** Rows under a header line, columns aligned by their widest cell. */
export function table(rows: readonly (readonly string[])[]): void {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  for (const row of rows) {
    const cells = row.map((cell, column) =>
      column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!),
    );
    say(`  ${cells.join('  ')}`);
  }
}

/** Before memory is read. */
export function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
}

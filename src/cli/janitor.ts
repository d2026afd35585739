/** `holdfast janitor`: looks at all locks for what faults have left behind, and has it mended. */
import type { RunJanitorResponse__Output } from '../edge/gen/holdfast/v1/RunJanitorResponse.ts';
import { deadlineOf, printJson, withService } from './call.ts';
import { CLIENT_OPTIONS, CLIENT_USAGE, type Command, noArguments, parseCommandLine } from './command.ts';
import { exit } from './exit.ts';
import { plain, section } from './format.ts';

const usage = `Usage: holdfast janitor [--dry-run] [flags]

Looks at every lock for what faults have left behind (votes that were never taken back,
places in line of the dead, ends that nobody recorded) and mends it. It also happens by
itself, at one replica at a time (HOLDFAST_JANITOR); if that is another one, it first
has to give way. Exit 0 also where something could not be mended.

      --dry-run          only look, and change nothing
${CLIENT_USAGE}`;

const OPTIONS = { ...CLIENT_OPTIONS, 'dry-run': { type: 'boolean' } } as const;
/** Another replica gives way when it renews, and there may be many names. */
const PATIENCE_MS = 50_000;

export function reportText(report: RunJanitorResponse__Output, dryRun: boolean): string {
  const { findings, found, looked_at: lookedAt } = report;
  const mended = (is: boolean): string => (is ? 'mended' : dryRun ? 'left' : 'NOT MENDED');
  const rows = findings.map(({ kind, node, resource, detail, mended: is }) => [
    mended(is),
    kind,
    node || '-',
    plain(resource),
    plain(detail),
  ]);
  const more = found > rows.length ? `... and ${found - rows.length} more\n` : '';
  const head = ['', 'KIND', 'NODE', 'RESOURCE', 'DETAIL'];
  const table = rows.length === 0 ? '' : section('found', head, rows).trimStart();
  return `${table}${more}${found} found, ${lookedAt} names looked at\n`;
}

export const command: Command = {
  usage,
  async run(args, io) {
    const { values, positionals } = parseCommandLine(args, OPTIONS);
    noArguments(positionals);
    const dryRun = values['dry-run'] === true;
    const deadline = deadlineOf(values, PATIENCE_MS);
    const answer = await withService(values, ({ admin, ask }) =>
      ask<RunJanitorResponse__Output>((done) => admin.RunJanitor({ dry_run: dryRun }, { deadline }, done)),
    );
    if (values.json) printJson(io, 'RunJanitorResponse', answer);
    else io.out(reportText(answer, dryRun));
    return exit.ok;
  },
};

/** `holdfast history`: what happened to one resource, or by one owner, as far as the nodes and the archive know. */
import { limits } from '../domain/limits.ts';
import type { Event__Output } from '../edge/gen/holdfast/v1/Event.ts';
import type { HistoryGap__Output } from '../edge/gen/holdfast/v1/HistoryGap.ts';
import type { HistoryResponse__Output } from '../edge/gen/holdfast/v1/HistoryResponse.ts';
import { deadlineOf, printJson, withService } from './call.ts';
import {
  CLIENT_OPTIONS,
  CLIENT_USAGE,
  type Command,
  noArguments,
  onlyArgument,
  parseCommandLine,
  UsageError,
  wholeFlag,
} from './command.ts';
import { exit } from './exit.ts';
import { columns, enumText, plain, when } from './format.ts';

const usage = `Usage: holdfast history RESOURCE [flags]
       holdfast history --owner O [flags]

Tells what happened, newest first: to one resource, or by one owner on any. Nodes
keep a bounded past of each resource; the archive of the replica that is asked
keeps more, and alone knows what an owner did. What it has missed is told, too.

      --owner O          what this owner did, instead of RESOURCE
      --limit N          at most so many events (default 100, at most ${limits.historyToldMax})
${CLIENT_USAGE}`;

const OPTIONS = { ...CLIENT_OPTIONS, owner: { type: 'string' }, limit: { type: 'string' } } as const;

function gapText({ from, until, events, reason }: HistoryGap__Output): string {
  const count = events === '0' ? 'an unknown number of events' : `${events} events of all resources`;
  const span = `from ${plain(when(from))} until ${plain(when(until))}`;
  return `the archive is incomplete ${span}: ${count} ${reason === 'dropped' ? 'dropped' : 'not taken'}\n`;
}

function historyText({ events, gaps, next_page_token }: HistoryResponse__Output): string {
  const rows = events.map((event) => [
    when(event.time),
    enumText(event.type, 'EVENT_TYPE'),
    event.resource,
    event.owner || '-',
    event.lease_ref || '-',
    event.fencing_token === '0' ? '-' : event.fencing_token,
    enumText(event.source, 'SOURCE'),
    event.reason,
  ]);
  const head = ['WHEN', 'EVENT', 'RESOURCE', 'OWNER', 'LEASE_REF', 'TOKEN', 'SOURCE', 'REASON'];
  const told =
    rows.length === 0 ? 'nothing is known\n' : columns([head, ...rows.map((row) => row.map(plain))]);
  const more = next_page_token === '' ? '' : 'there is more: raise --limit\n';
  return [told, ...gaps.map(gapText), more].join('');
}

interface Asked {
  readonly resource: string;
  readonly owner: string;
  readonly limit: number;
}

function asked(positionals: readonly string[], values: { owner?: string; limit?: string }): Asked {
  const { owner = '' } = values;
  if (owner === '' && positionals.length === 0) throw new UsageError('RESOURCE or --owner is missing');
  if (owner !== '') noArguments(positionals);
  const limit =
    values.limit === undefined
      ? limits.pageSizeDefault
      : wholeFlag('limit', values.limit, limits.historyToldMax);
  if (limit === 0) throw new UsageError('--limit must be at least 1');
  return { resource: owner === '' ? onlyArgument(positionals, 'RESOURCE') : '', owner, limit };
}

export const command: Command = {
  usage,
  async run(args, io) {
    const { values, positionals } = parseCommandLine(args, OPTIONS);
    const { resource, owner, limit } = asked(positionals, values);
    const deadline = deadlineOf(values);
    const events: Event__Output[] = [];
    const gaps = new Map<string, HistoryGap__Output>();
    let page_token = '';
    await withService(values, async ({ lock, ask }) => {
      do {
        const page_size = Math.min(limit - events.length, limits.pageSizeMax);
        const request = { resource, owner, page_size, page_token };
        const page = await ask<HistoryResponse__Output>((done) => lock.History(request, { deadline }, done));
        events.push(...page.events);
        // One that reaches over the end of a page is told with both.
        for (const gap of page.gaps) gaps.set(JSON.stringify(gap), gap);
        page_token = page.next_page_token;
      } while (page_token !== '' && events.length < limit);
    });
    const told = { events, gaps: [...gaps.values()], next_page_token: page_token };
    if (values.json) printJson(io, 'HistoryResponse', told);
    else io.out(historyText(told));
    return exit.ok;
  },
};

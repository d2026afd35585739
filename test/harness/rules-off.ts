/** The nodes' scripts with one rule switched off each: what a guard prevents must happen when the guard is gone. */
import { hash } from 'node:crypto';
import { type Script, scripts } from '../../src/nodes/scripts.ts';

type Scripts = typeof scripts;

/** Replaces the one place where `rule` stands; a source in which it does not stand once is no longer what we test. */
function without(rule: string, instead: string): Scripts {
  const { source, name } = scripts.votes;
  const places = source.split(rule).length - 1;
  if (places !== 1) throw new Error(`votes.lua has the rule ${places} times, not once: ${rule}`);
  const changed = source.replace(rule, () => instead);
  if (changed === source) throw new Error(`the patch changes nothing: ${rule}`);
  const votes: Script = { name, source: changed, sha: hash('sha1', changed, 'hex') };
  return { ...scripts, votes };
}

/** An undo of one attempt also frees another attempt of the same lease. */
export const attemptsNotTold = without(
  `    local h = held_by(r, value)
    if h then
      if binding < 0`,
  `    local h = held_by(r, value)
    if not h and r.value and string.match(r.value, '^(.-)|') == string.match(value, '^(.-)|') then h = r end
    if h then
      if binding < 0`,
);

/** An undo that finds nothing closes nothing: the vote that it chases may still arrive. */
export const undoClosesNothing = without('elseif closing then', 'elseif false then');

/** A renewal takes what it no longer holds. */
export const renewAcquires = without(
  `    held[i] = held_by(records[i], value)
`,
  `    held[i] = held_by(records[i], value)
    if not held[i] then
      local r = records[i]
      r.value, r.body = value, value .. '\\31' .. ref .. '\\31?{}'
      r.from, r.length, r.till = #string.match(value, '^(.-)|') + 2, #value, #value + #ref + 3
      held[i] = r
    end
`,
);

/** A token that was closed may come back, as a repair does. */
export const closedComesBack = without(
  "if r.state == 'o' then return",
  "if r.state ~= 'O' then return r.state ~= 'o' or",
);

/**
 * A release frees a lease that is no longer its sender's: an undo one that a repeat of the request was answered with,
 * the late end of a stream one that was resumed. What is bound takes the long way, so here is the one place.
 */
export const bindingIgnored = without('if binding < 0 or h.binding <= binding then', 'if true then');

/** A node whose clock jumped goes on voting. */
export const suspicionOff = without('if suspect > now then return', 'if false then return');

/** A clock that runs ahead may raise a fence as far as it likes. */
export const leadOff = without(
  'if number > now + LEAD then\n    local seen',
  'if false then\n    local seen',
);

/** A closing undo raises a fence as far as its token says. */
export const closeWithoutBound = without(
  'if number > math.max(now + LEAD, (fence or 0) + SLACK, seen + SLACK) then return nil end',
  '',
);

/** A request for several resources takes them all when only one of them is free. */
export const oneFreeWillDo = without('if held > 0 then', 'if held == #records then');

/** A newcomer takes what is free, whoever waits for it. */
export const overtaking = without('if must_wait(records, shared and 1 or 0, place) then', 'if false then');

/** Who waits stands in line whether its replica lives or not. */
export const deadStandInLine = without('if w[1] <= now then return nil, w end', '');

/** The deadline of a place that a clock that was set back has moved far away is believed. */
export const deadlineBelieved = without('if w[10] and w[1] > now + w[10] * 1000 then', 'if false then');

/** A release frees whoever holds the resource, as a DEL would. */
export const releaseFreesAnybody = without(
  `    local h = held_by(r, value)
    if h then
      if binding < 0`,
  `    local h = held_by(r, value) or r.value and r
    if h then
      if binding < 0`,
);

/** A holder whose end a clock that was set back has moved far away is believed. */
export const endNotCut = without('if h.expiry > now + longest then', 'if false then');

/** A node does not remember which requests it has granted. */
export const requestsForgotten = without(
  'if not earlier or earlier == value then return',
  'if true then return',
);

/** A hold whose write the node refuses (its memory is full, it cannot save) counts as one all the same. */
export const refusedWriteIsVote = without(
  "if type(wrote) == 'table' then return full(wrote) end",
  "if type(wrote) == 'table' then return 'h' end",
);

/** A record that cannot be read stops whatever came in the same batch. */
export const oneStopsAll = without('protected(answer_all)', 'true, answer_all()');

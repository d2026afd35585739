/** Known holes, each as a change of one rule of our own code: a proof that finds none of them proves nothing. */

/** `rule` stands exactly once in `file`. */
export interface Patch {
  /** Below the root of the repository. */
  readonly file: string;
  readonly rule: string;
  readonly instead: string;
}

export interface Bug {
  readonly name: string;
  /** What is wrong then, in one sentence. */
  readonly hole: string;
  /** The memory node's rule and the script's, where both have it: the simulation runs the one, real faults the other. */
  readonly patches: readonly Patch[];
}

const node = (file: string) => `src/nodes/${file}`;
const lua = (file: string) => `src/nodes/lua/${file}.lua`;

export const bugs: readonly Bug[] = [
  {
    name: 'value-per-lease',
    hole: 'All attempts of one lease share their value: an undo of one frees another.',
    patches: [
      {
        file: node('memory-record.ts'),
        rule: 'return turn.rules.uniquePerAttempt\n',
        instead: 'return false\n',
      },
      {
        file: lua('ends'),
        rule: '    local h = held_by(r, value)\n    if h then\n      if binding < 0',
        instead: `    local h = held_by(r, value)
    if not h and r.value and string.match(r.value, '^(.-)|') == string.match(value, '^(.-)|') then h = r end
    if h then
      if binding < 0`,
      },
    ],
  },
  {
    name: 'token-twice',
    hole: 'Two attempts of one call may have the same token, and so the same value: the late undo of one frees the other.',
    patches: [
      {
        file: 'src/locks/attempt.ts',
        rule: 'while (this.#proposed.includes(token))',
        instead: 'while (false)',
      },
    ],
  },
  {
    name: 'open-undo',
    hole: 'An undo that finds nothing closes nothing: the vote that it chases may still arrive.',
    patches: [
      { file: node('memory-vote.ts'), rule: 'op.closing && turn.rules.closing', instead: 'false' },
      { file: lua('ends'), rule: 'elseif closing then', instead: 'elseif false then' },
    ],
  },
  {
    name: 'no-quarantine',
    hole: 'A node that may have forgotten votes again at once.',
    patches: [
      {
        file: node('quarantine.ts'),
        rule: 'if (elapsed <= waitMs) return',
        instead: 'if (elapsed < 0) return',
      },
    ],
  },
  {
    name: 'no-floor',
    hole: 'A node that may have forgotten votes again without the fences that others remember.',
    patches: [
      {
        file: node('quarantine.ts'),
        rule: "if (quarantine.adopted) return { kind: 'rejoin', floor: 'adopted' };",
        instead: "if (quarantine.adopted || elapsed > 0) return { kind: 'rejoin', floor: 'adopted' };",
      },
    ],
  },
  {
    name: 'everysec-trusted',
    hole: 'A node that restarts with a meta counts as one that lost nothing, however it writes to its disk.',
    patches: [
      {
        file: node('quarantine.ts'),
        rule: 'if (meta?.durable === true && facts.durable)',
        instead: 'if (meta !== undefined)',
      },
      { file: node('memory-admin.ts'), rule: 'if (!meta.durable)', instead: 'if (false)' },
      { file: lua('admin'), rule: "if meta.durable ~= '1' then", instead: 'if false then' },
    ],
  },
  {
    name: 'uptime-as-clock',
    hole: 'The quarantine is counted from when the process began, which a FLUSHALL does not change.',
    patches: [
      {
        file: 'src/quorum/admission.ts',
        rule: '      this.#seen = { id: standing.id, sinceMs: nowMs };',
        instead: '      this.#seen = { id: standing.id, sinceMs: this.#upSinceMs };',
      },
      {
        file: 'src/quorum/admission.ts',
        rule: '      this.#facts = facts;\n      this.#factsAtMs = options.clock.monotonicMs();\n      if',
        instead: `      this.#facts = facts;
      this.#factsAtMs = options.clock.monotonicMs();
      if (this.#upOf !== facts.runId) this.#upSinceMs = this.#factsAtMs;
      this.#upOf = facts.runId;
      if`,
      },
      {
        file: 'src/quorum/admission.ts',
        rule: '  #leftMs = 0;\n',
        instead: "  #leftMs = 0;\n  #upSinceMs = 0;\n  #upOf = '';\n",
      },
    ],
  },
  {
    name: 'slots-counted',
    hole: 'A node counts how many slots are taken instead of which: one that is free makes all of them free.',
    patches: [
      {
        file: node('memory-vote.ts'),
        rule: '  if (holders.length > 0) return queue(turn, op, holders);',
        instead:
          '  if (holders.length > 0 && (op.resources.length < 2 || holders.length >= op.resources.length)) return queue(turn, op, holders);',
      },
      {
        file: lua('votes'),
        rule: 'if held > 0 then',
        instead: 'if held > 0 and (#records == 1 or held == #records) then',
      },
    ],
  },
  {
    name: 'release-on-drain',
    hole: 'A replica that drains releases what its streams keep, although their clients will resume it.',
    patches: [
      {
        file: 'src/locks/hold.ts',
        rule: "if (how === 'closed') this.#release(CLOSED);",
        instead: "if (how !== 'silent') this.#release(CLOSED);",
      },
    ],
  },
  {
    name: 'deadline-from-reply',
    hole: 'Validity is counted from when the answer came, not from before the question left.',
    patches: [
      {
        file: 'src/quorum/validity.ts',
        rule: 'return Math.max(monotonic, wall);',
        instead: 'return Math.min(0, monotonic, wall);',
      },
      {
        file: 'clients/typescript/src/session/keep.ts',
        rule: 'this.count.anchor(sentMs,',
        instead: 'this.count.anchor(this.#keeper.nowMs() + 0 * sentMs,',
      },
      {
        file: 'test/sim/world/belief.ts',
        rule: 'if (untilMs > this.#untilMs) this.#count(untilMs);',
        instead:
          'if (untilMs > this.#untilMs) this.#count(this.#options.clock.monotonicMs() + goodForMs(this.lease.ttlMs));',
      },
    ],
  },
  {
    name: 'no-escalation',
    hole: 'Who waits stands in line whether it lives or not: nobody behind a dead one is ever served.',
    patches: [
      {
        file: node('memory-line.ts'),
        rule: 'return waiter.deadlineMicros > turn.nowMicros;',
        instead: 'return true;',
      },
      { file: lua('line'), rule: 'if w[1] <= now then return nil, w end', instead: '' },
    ],
  },
  {
    name: 'no-fence-check',
    hole: 'A token below the fence is taken all the same.',
    patches: [
      {
        file: node('memory-vote.ts'),
        rule: "return highest === undefined ? undefined : { kind: 'stale', fence: highest };",
        instead: 'return undefined;',
      },
      {
        file: lua('votes'),
        rule: "if highest then return cjson.encode({ 's', micros(highest) }) end",
        instead: '',
      },
    ],
  },
  {
    name: 'no-bar',
    hole: 'The janitor ends what a minority holds without shutting its token out elsewhere first.',
    patches: [
      {
        file: 'src/locks/mend.ts',
        rule: 'const asked = barOff ? [] : freeAt;',
        instead: 'const asked: number[] = [];',
      },
      {
        file: 'src/locks/mend.ts',
        rule: 'if (barred < quorum.majority && !barOff) return gone;',
        instead: '',
      },
    ],
  },
  {
    name: 'silence-barred',
    hole: 'The janitor takes a node that says nothing for one that does not hold the lease, and is shut to it.',
    patches: [
      {
        file: 'src/locks/remains.ts',
        rule: 'look !== undefined && !holdersIn(look).some(isOf(holder))',
        instead: '!holdersIn(look).some(isOf(holder))',
      },
      {
        file: 'src/locks/mend.ts',
        rule: "answer.kind === 'barred' && answer.barred",
        instead: "answer.kind !== 'barred' || answer.barred",
      },
    ],
  },
];

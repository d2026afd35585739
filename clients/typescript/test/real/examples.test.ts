/** The examples run against a real service as their README shows them. */
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ReplicaProcess } from '../../../../test/harness/replica.ts';

const folder = fileURLToPath(new URL('../../', import.meta.url));
const root = fileURLToPath(new URL('../../../../', import.meta.url));
const execute = promisify(execFile);

/** What each says, as far as it can be known. */
const SAYS: Readonly<Record<string, readonly RegExp[]>> = {
  'errors.ts': [/^busy: example has it$/],
  'line.ts': [/^place 1, behind first \(train-7\)$/, /^has gpu\/3 and gpu\/4$/],
  'lock.ts': [/^token \d+, certainly valid for \d+ ms$/],
  'loss.ts': [/^stopped: forced$/],
};

let replica: ReplicaProcess;
beforeAll(async () => {
  await execute(`${root}scripts/build-client.sh`);
  replica = await ReplicaProcess.start('', { HOLDFAST_MAX_TTL: '60s', HOLDFAST_DEFAULT_TTL: '30s' });
});
afterAll(() => replica?.stop());

test.each(Object.keys(SAYS))('%s runs, says what it should, and is in the README as it is', async (name) => {
  const path = `${folder}examples/${name}`;
  const env = { ...process.env, HOLDFAST_ADDRESS: replica.address };
  const { stdout } = await execute(process.execPath, [path], { env });
  const lines = stdout.trimEnd().split('\n');
  expect(lines).toHaveLength(SAYS[name]!.length);
  for (const [at, says] of SAYS[name]!.entries()) expect(lines[at]).toMatch(says);
  const readme = readFileSync(`${folder}README.md`, 'utf8');
  expect(readme).toContain(`<!-- examples/${name} -->\n\`\`\`ts\n${readFileSync(path, 'utf8')}\`\`\``);
});

test('every example is among these', () => {
  const all = readdirSync(`${folder}examples`).filter((name) => name.endsWith('.ts'));
  expect(all.sort()).toEqual(Object.keys(SAYS));
});

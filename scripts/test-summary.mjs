/** The end of a test run: each failure by name, then one line of counts; the exit code is that of the whole run. */
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';

const [, , report, checks, tests, python] = process.argv;
const print = (line) => process.stdout.write(`${line}\n`);

const lanes = readdirSync(report).filter((name) => name.endsWith('.json'));
const results = lanes.flatMap((name) => JSON.parse(readFileSync(join(report, name), 'utf8')).testResults);
if (lanes.length === 0) print('the test runner ended without writing its results');

const counts = { passed: 0, failed: 0, skipped: 0 };
const failures = [];
const skips = [];
for (const { name: file, status, message, assertionResults } of results) {
  const place = relative(process.cwd(), file);
  for (const { status: how, fullName } of assertionResults) {
    if (how === 'passed') counts.passed += 1;
    else if (how === 'failed') {
      counts.failed += 1;
      failures.push(`${place}: ${fullName}`);
    } else {
      counts.skipped += 1;
      skips.push(`${place}: ${fullName}`);
    }
  }
  // A file that does not load has no tests to count.
  if (status === 'failed' && !assertionResults.some((one) => one.status === 'failed')) {
    counts.failed += 1;
    failures.push(`${place}: ${(message ?? '').split('\n', 1)[0] || 'the file failed outside its tests'}`);
  }
}
// JUnit's form: a test that passed has nothing in it.
let counted = 0;
try {
  const xml = readFileSync(join(report, 'python.xml'), 'utf8');
  for (const [, attributes, empty, inside = ''] of xml.matchAll(
    /<testcase ([^>]*?)(?:(\/)>|>([\s\S]*?)<\/testcase>)/g,
  )) {
    const of = (name) => new RegExp(` ?\\b${name}="([^"]*)"`).exec(attributes)?.[1] ?? '';
    const named = `clients/python: ${of('classname')} ${of('name')}`;
    counted += 1;
    if (empty !== '/' && /<(failure|error)\b/.test(inside)) {
      counts.failed += 1;
      failures.push(named);
    } else if (empty !== '/' && /<skipped\b/.test(inside)) {
      counts.skipped += 1;
      skips.push(named);
    } else counts.passed += 1;
  }
} catch {
  print("the Python client's tests ended without writing their results");
}
if (python !== '0' && !failures.some((line) => line.startsWith('clients/python: '))) {
  counts.failed += 1;
  failures.push(`clients/python/check.sh exited with ${python}: see its output above`);
} else if (counted === 0) {
  counts.failed += 1;
  failures.push('no test of the Python client ran');
}
if (checks !== '0') {
  counts.failed += 1;
  failures.push('make check: see the lines that begin with FAIL above');
}
if (tests !== '0' && failures.length === 0) {
  counts.failed += 1;
  failures.push(`the test runner exited with ${tests} although no test failed: see its output above`);
}
if (counts.passed === 0 && failures.length === 0) {
  counts.failed += 1;
  failures.push('no test ran');
}

print('');
for (const line of skips) print(`SKIPPED ${line}`);
for (const line of failures) print(`FAILED  ${line}`);
print(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
process.exitCode = counts.failed === 0 ? 0 : 1;

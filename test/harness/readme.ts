/** What a README shows of a program, so that a test can hold the two together. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const trimmed = (text: string): string =>
  text
    .split('\n')
    .map((line) => line.trim())
    .join('\n');

/** The blocks of code in `language` that are not word for word, but for their indentation, in `source` of that folder. */
export function strayBlocks(folder: string, language: string, source: string): string[] {
  const readme = readFileSync(join(folder, 'README.md'), 'utf8');
  const program = trimmed(readFileSync(join(folder, source), 'utf8'));
  const blocks = [...readme.matchAll(new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``, 'g'))].map(
    ([, code]) => code!,
  );
  if (blocks.length === 0) throw new Error(`${folder}/README.md has no ${language}`);
  return blocks.filter((code) => !program.includes(trimmed(code)));
}

/**
 * Goal: the table of promises in docs/testing.md names tests that exist.
 * Method: in each row, every file must contain the titles quoted after it, and every linked result must exist.
 */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const ROOT = new URL('..', import.meta.url);
const PAGE = new URL('docs/testing.md', ROOT);

function rows(): string[] {
  const page = readFileSync(PAGE, 'utf8');
  const section = /## What it promises, and the test that shows it\n([\s\S]*?)\n## /.exec(page)?.[1] ?? '';
  return section.split('\n').filter((line) => line.startsWith('| ') && !line.startsWith('| promise '));
}

/** Files with the titles that follow them, up to the next semicolon. */
function testsOf(row: string): { file: string; titles: string[] }[] {
  return [...row.matchAll(/`(test\/[\w.-]+\.test\.ts)`([^;|]*)/g)].map(([, file = '', rest = '']) => ({
    file,
    titles: [...rest.matchAll(/"([^"]+)"/g)].map(([, title = '']) => title),
  }));
}

describe('the table of promises', () => {
  it('is found in docs/testing.md', () => {
    expect(rows().length).toBeGreaterThan(25);
  });

  it.each(rows())('%s', (row) => {
    const tests = testsOf(row);
    expect(tests.length).toBeGreaterThan(0);
    for (const { file, titles } of tests) {
      const text = readFileSync(new URL(file, ROOT), 'utf8');
      for (const title of titles) expect(text.includes(title), `${file}: "${title}"`).toBe(true);
    }
    for (const [, link = ''] of row.matchAll(/\]\(([^)]+)\)/g)) {
      expect(existsSync(fileURLToPath(new URL(link, PAGE))), link).toBe(true);
    }
  });
});

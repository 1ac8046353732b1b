/**
 * Goal: a reader who follows a link of the documentation arrives, also from the npm package, and no page is too long.
 * Method: every relative link and anchor is looked up in the files; those of the README also in what package.json ships.
 */
import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, matchesGlob } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const PAGES = globSync(
  [
    'README.md',
    'CONTRIBUTING.md',
    'SECURITY.md',
    'CHANGELOG.md',
    '{docs,bench,deploy,examples,.github}/**/*.md',
  ],
  { cwd: ROOT },
).toSorted();

const { files } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { files: string[] };
/** Shipped without being listed. */
const ALWAYS_SHIPPED = ['README.md', 'LICENSE', 'package.json'];

function textOf(page: string): string {
  return readFileSync(join(ROOT, page), 'utf8');
}

/** Without blocks and spans of code, in which nothing is a link or a heading. */
function proseOf(page: string): string {
  return textOf(page)
    .replace(/^```[\s\S]*?^```$/gm, '')
    .replace(/`[^`\n]*`/g, (code) => (code.includes('](') ? '' : code));
}

/** The targets of Markdown links and images, and of HTML ones. */
function linksOf(page: string): string[] {
  const targets = proseOf(page).matchAll(/\]\(([^)\s]+)\)|(?:src|href|srcset)="([^"]+)"/g);
  return [...targets].map(([, markdown, html]) => markdown ?? html ?? '');
}

/** The anchors that GitHub gives the headings of a page. */
function anchorsOf(page: string): string[] {
  const seen = new Map<string, number>();
  return [...proseOf(page).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) => {
    const anchor = heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-');
    const before = seen.get(anchor) ?? 0;
    seen.set(anchor, before + 1);
    return before === 0 ? anchor : `${anchor}-${before}`;
  });
}

/** Why a relative link leads nowhere; null when it leads somewhere. */
function fault(page: string, link: string): string | null {
  const [path = '', anchor] = link.split('#');
  const target = path === '' ? page : join(dirname(page), path);
  if (!existsSync(join(ROOT, target))) return 'no such file';
  if (anchor === undefined) return null;
  return anchorsOf(target).includes(anchor) ? null : 'no such heading';
}

function isRelative(link: string): boolean {
  return !/^[a-z]+:/.test(link);
}

function isShipped(path: string): boolean {
  return (
    ALWAYS_SHIPPED.includes(path) ||
    files.some((file) => path === file || path.startsWith(`${file}/`) || matchesGlob(path, file))
  );
}

describe('links', () => {
  it.each(PAGES)('of %s lead to files and headings', (page) => {
    const broken = linksOf(page)
      .filter(isRelative)
      .map((link) => ({ link, fault: fault(page, link) }));
    expect(broken.filter((each) => each.fault !== null)).toEqual([]);
  });

  it('of the README lead to files that the package contains', () => {
    const paths = linksOf('README.md').filter(isRelative);
    expect(paths.length).toBeGreaterThan(10);
    expect(paths.map((link) => link.replace(/#.*/, '')).filter((path) => !isShipped(path))).toEqual([]);
  });

  it('of docs to measurements lead to files that the package contains', () => {
    const links = PAGES.filter((page) => page.startsWith('docs/')).flatMap(linksOf);
    const measurements = links.filter((link) => /^\.\.\/bench\/results\/.*\.txt$/.test(link));
    expect(measurements.length).toBeGreaterThan(10);
    expect(measurements.filter((link) => !isShipped(join('docs', link)))).toEqual([]);
  });

  it('of the README lead to every page of docs', () => {
    const pages = readdirSync(join(ROOT, 'docs')).filter((name) => name.endsWith('.md'));
    const linked = linksOf('README.md').map((link) => link.replace(/#.*/, ''));
    expect(pages.filter((name) => !linked.includes(`docs/${name}`))).toEqual([]);
  });

  it('are checked', () => {
    expect(fault('docs/options.md', 'no-such-page.md')).toBe('no such file');
    expect(fault('docs/options.md', 'options.md#no-such-heading')).toBe('no such heading');
    expect(fault('docs/options.md', '#strategy')).toBeNull();
    expect(isShipped('test/links.test.ts')).toBe(false);
  });
});

describe('pages', () => {
  const linesOf = (text: string) => text.split('\n').length - 1;

  it.each(PAGES.filter((page) => page.startsWith('docs/')))('%s has at most 250 lines', (page) => {
    expect(linesOf(textOf(page))).toBeLessThanOrEqual(250);
  });

  it.each(PAGES.filter((page) => page.startsWith('docs/')))(
    '%s begins with what one learns from it',
    (page) => {
      const [, first] = textOf(page).split('\n\n', 2);
      expect(first).toMatch(/\blearn\b/);
    },
  );

  it('README.md has at most 150 lines and 1,500 words', () => {
    const text = textOf('README.md');
    expect(linesOf(text)).toBeLessThanOrEqual(150);
    expect(text.trim().split(/\s+/).length).toBeLessThanOrEqual(1500);
  });
});

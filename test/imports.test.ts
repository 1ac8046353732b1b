/**
 * Goal: modules know only what they may know, so that data flows one way and a strategy can be replaced.
 * Method: every import statement of the source is read and held against the table of rooms below; a file outside of all
 * rooms fails, so a new room must be thought about.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** The rooms, the lowest first. Each may import its own files, the rooms and the modules that it names, and no others. */
const ROOMS: Record<string, string[]> = {
  'src/sys/': [
    'koffi',
    'node:fs',
    'node:inspector',
    'node:net',
    'node:os',
    'node:path',
    'node:tty',
    'node:util',
  ],
  'src/memory/': ['src/sys/'],
  'src/options/': ['src/memory/', 'node:net', 'node:os', 'node:util'],
  'src/schema/': ['src/options/', 'zod'],
  'src/log/': ['src/options/', 'src/schema/', 'src/sys/', 'pino', 'pino-pretty'],
  'src/queue/': ['src/sys/'],
  'src/pool/': [
    'src/log/',
    'src/memory/',
    'src/queue/',
    'src/schema/',
    'src/sys/',
    'piscina',
    'node:timers/promises',
    'node:worker_threads',
  ],
  'src/strategy/': [
    'src/log/',
    'src/memory/',
    'src/options/',
    'src/pool/',
    'src/queue/',
    'src/schema/',
    'src/sys/',
  ],
  'src/listener/': ['src/options/', 'src/sys/', 'node:dns/promises', 'node:net', 'node:os'],
  'src/server/': [
    'src/listener/',
    'src/log/',
    'src/memory/',
    'src/options/',
    'src/pool/',
    'src/schema/',
    'src/strategy/',
    'src/sys/',
    'pino',
    'node:fs',
    'node:worker_threads',
  ],
  'src/index.ts': ['src/options/', 'src/schema/', 'src/server/', 'src/sys/', 'pino'],
  'src/admin/': [
    'src/options/',
    'src/schema/',
    'prom-client',
    'node:fs',
    'node:http',
    'node:net',
    'node:path',
    'node:stream',
  ],
  'src/terminal/': ['src/sys/', 'node:fs', 'node:readline'],
  'src/top/': ['src/options/', 'src/schema/', 'src/sys/', 'src/terminal/', 'node:http'],
  'src/demo/': [
    'src/admin/',
    'src/options/',
    'src/schema/',
    'src/server/',
    'src/sys/',
    'src/terminal/',
    'node:net',
  ],
  'workers/': ['src/memory/', 'src/sys/', 'node:fs', 'node:worker_threads'],
  'bench/peers/': ['piscina', 'node:'], // programs to compare with, each on its own
  'bench/random.ts': [],
  'bench/sim/': ['bench/random.ts', 'src/memory/', 'src/pool/', 'src/queue/', 'src/strategy/', 'src/sys/'],
  'bench/': [
    'bench/random.ts',
    'src/options/',
    'src/schema/',
    'src/sys/',
    'd3-scale',
    'd3-shape',
    'zod',
    'node:',
  ],
  // Starts a server and kills its workers on order, which the command line cannot: nothing else in bench/ may.
  'bench/lab/soak/server-child.ts': ['src/index.ts', 'node:'],
  'bench/lab/': ['bench/', 'bench/random.ts', 'src/options/', 'src/sys/', 'node:'],
  'src/cli/': [
    'src/admin/',
    'src/demo/',
    'src/log/',
    'src/options/',
    'src/server/',
    'src/sys/',
    'src/top/',
    'bench/',
    'bench/sim/',
    'commander',
    'pino',
    'node:dns/promises',
    'node:net',
  ],
  'src/bin.ts': ['src/cli/'],
};

/** Numbers and text in, numbers and text out; or, for layout.ts, where everything lies. */
const WITHOUT_IMPORTS = [
  'src/cli/help.ts',
  'src/log/rate-limit.ts',
  'src/memory/layout.ts',
  'src/memory/predicates.ts',
  'src/queue/fifo.ts',
];

/** Packages with one importer, or one room that imports them. */
const SOLE_IMPORTER: Record<string, string> = {
  piscina: 'src/pool/threads.ts',
  koffi: 'src/sys/libc.ts',
  commander: 'src/cli/',
  'd3-scale': 'bench/report/scale.ts',
  'pino-pretty': 'src/log/log.ts',
  'prom-client': 'src/admin/metrics.ts',
};

function sources(): string[] {
  return ['src', 'workers', 'bench'].flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => `${folder}/${name}`),
  );
}

function importsOf(file: string): string[] {
  return importedBy(readFileSync(join(ROOT, file), 'utf8'), file);
}

function importedBy(text: string, file: string): string[] {
  const found = text.matchAll(
    /^(?:import|export)\s[^'";]*?from\s+'([^']+)'|\bimport\(\s*'([^']+)'\s*\)|^import\s+'([^']+)'/gm,
  );
  return [...found].map((match) => {
    const name = (match[1] ?? match[2] ?? match[3]) as string; // one of the three alternatives matched
    return name.startsWith('.') ? relative(ROOT, join(ROOT, dirname(file), name)) : name;
  });
}

/** What a file loads when it runs: types are stripped. */
function valuesFrom(file: string): string[] {
  const text = readFileSync(join(ROOT, file), 'utf8').replaceAll(/^(import|export) type [^;]*;$/gm, '');
  return importedBy(text, file);
}

/** The room that a file is in: the longest prefix. */
function roomOf(file: string): string | undefined {
  return Object.keys(ROOMS)
    .filter((room) => file === room || (room.endsWith('/') && file.startsWith(room)))
    .sort((a, b) => b.length - a.length)[0];
}

/** A rule names a room, a package or, with a colon, the modules of Node; of two rooms a file is in the longer one. */
function allows(rule: string, imported: string): boolean {
  if (rule in ROOMS) return roomOf(imported) === rule;
  return imported === rule || (rule.endsWith(':') && imported.startsWith(rule));
}

describe('imports', () => {
  const files = sources();

  it('finds the sources', () => {
    expect(files).toContain('src/server/server.ts');
    expect(importsOf('src/bin.ts')).toEqual(['src/cli/program.ts']);
    expect(importsOf('workers/echo.ts')).toContain('src/memory/layout.ts');
  });

  it('no room imports one above it, so there is no cycle', () => {
    const below = new Set<string>();
    for (const [room, rules] of Object.entries(ROOMS)) {
      for (const rule of rules.filter((r) => /^(src|workers|bench)\//.test(r))) {
        expect(below.has(rule), `${room} imports ${rule}`).toBe(true);
      }
      below.add(room);
    }
  });

  it('the table allows nothing that is not used', () => {
    for (const [room, rules] of Object.entries(ROOMS)) {
      const imported = files.filter((file) => roomOf(file) === room).flatMap(importsOf);
      for (const rule of rules)
        expect(
          imported.some((name) => allows(rule, name)),
          `${room}: ${rule}`,
        ).toBe(true);
    }
  });

  it.each(files)('%s', (file) => {
    const room = roomOf(file);
    expect(room, `${file} is in none of the rooms of this test`).toBeDefined();
    const rules = [...(ROOMS[room as string] ?? []), room as string];
    for (const imported of importsOf(file)) {
      expect(
        rules.some((rule) => allows(rule, imported)),
        `${file} imports ${imported}`,
      ).toBe(true);
      const sole = SOLE_IMPORTER[imported];
      if (sole !== undefined && !file.startsWith('bench/peers/'))
        expect(file.startsWith(sole), file).toBe(true);
    }
  });

  /** Everything that a file leads to, itself not included unless it leads back. */
  function reachedFrom(file: string, next: (file: string) => string[]): Set<string> {
    const reached = new Set(next(file));
    for (const name of reached) {
      if (files.includes(name)) for (const imported of next(name)) reached.add(imported);
    }
    return reached;
  }

  it('no file imports itself by way of others', () => {
    const imports = new Map(files.map((file) => [file, importsOf(file)]));
    for (const file of files)
      expect(reachedFrom(file, (f) => imports.get(f) ?? []).has(file), file).toBe(false);
  });

  it.each(['src/cli/program.ts', 'src/cli/serve.ts'])('%s loads no tool until its command runs', (file) => {
    const atOnce = (name: string) => {
      const text = readFileSync(join(ROOT, name), 'utf8').replaceAll(/\bimport\('[^']+'\)/g, '');
      return importedBy(text, name);
    };
    const loaded = [...reachedFrom(file, atOnce)];
    expect(loaded).toContain('src/cli/complaint.ts');
    expect(loaded.filter((name) => /^(bench|src\/(top|demo|terminal|cli\/commands))\//.test(name))).toEqual(
      [],
    );
  });

  it.each(WITHOUT_IMPORTS)('%s imports nothing', (file) => {
    expect(importsOf(file)).toEqual([]);
  });

  it('a thread per connection loads no FFI, which would leave memory behind for each', () => {
    const reached = reachedFrom('workers/serve-fs.ts', valuesFrom);
    expect(reached).toContain('workers/echo.ts');
    expect(reached).not.toContain('src/sys/libc.ts');
    expect(reached).not.toContain('koffi');
  });

  it.each(['src/index.ts', 'src/admin/index.ts', 'bench/load/main.ts'])(
    '%s loads no schema, only types',
    (entry) => {
      const reached = reachedFrom(entry, valuesFrom);
      expect(reached.size).toBeGreaterThan(10);
      expect(reached).not.toContain('zod');
    },
  );

  it.each(['kworker', 'serve-ffi', 'serve-fs'])(
    '%s does without top-level await: see workers/thread.ts',
    (name) => {
      // Loading it here fails, as this is no worker; with a top-level await it would fail before that, for another reason.
      const load = () => createRequire(import.meta.url)(join(ROOT, `workers/${name}.ts`));
      expect(load).toThrow(TypeError);
    },
  );

  it('a clock that is set back is never asked: only monotonic time is used', () => {
    const clocks = /\bDate\b|performance\.timeOrigin|CLOCK_REALTIME|gettimeofday/;
    for (const file of files.filter((name) => !name.startsWith('bench/'))) {
      expect(clocks.exec(readFileSync(join(ROOT, file), 'utf8'))?.[0], file).toBeUndefined();
    }
    // A benchmark says when it was run, and measures nothing by that.
    for (const file of files.filter((name) => name.startsWith('bench/'))) {
      expect(readFileSync(join(ROOT, file), 'utf8').includes('Date.now'), file).toBe(false);
    }
  });
});

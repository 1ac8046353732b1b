/**
 * Goal: modules depend only on rooms below them, so that data flows one way and a strategy can be replaced.
 * Method: every import statement of the source is checked against the table of rooms; a file outside of all rooms
 * fails, so a new room has to be added to the table.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { FIRST_TASK } from '../src/pool/threads.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** The rooms, lowest first. Each may import its own files, and the rooms and modules listed. */
const ROOMS: Record<string, string[]> = {
  'src/sys/': [
    'koffi',
    'node:fs',
    'node:inspector',
    'node:module',
    'node:net',
    'node:os',
    'node:path',
    'node:tty',
    'node:util',
  ],
  'src/memory/': ['src/sys/'],
  'src/options/': ['src/memory/', 'node:net', 'node:os', 'node:path', 'node:util'],
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
    'node:path',
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
    'src/listener/',
    'src/memory/',
    'src/options/',
    'src/pool/',
    'src/schema/',
    'src/sys/',
    'prom-client',
    'node:fs',
    'node:http',
    'node:net',
    'node:path',
    'node:stream',
    'node:worker_threads',
    'node:zlib',
  ],
  'src/terminal/': ['src/sys/', 'node:fs', 'node:readline'],
  'src/top/': ['src/options/', 'src/schema/', 'src/sys/', 'src/terminal/', 'node:http'],
  'src/demo/': [
    'src/admin/',
    'src/memory/',
    'src/options/',
    'src/pool/',
    'src/schema/',
    'src/server/',
    'src/sys/',
    'src/terminal/',
    'node:fs',
    'node:net',
  ],
  'src/handler.ts': [],
  'workers/': [
    'src/handler.ts',
    'src/memory/',
    'src/sys/',
    'node:fs',
    'node:module',
    'node:path',
    'node:url',
    'node:util',
    'node:worker_threads',
  ],
  'bench/peers/': ['piscina', 'node:'], // standalone programs to compare with
  'bench/fairness.ts': [],
  'bench/random.ts': [],
  'bench/sim/': [
    'bench/fairness.ts',
    'bench/random.ts',
    'src/memory/',
    'src/pool/',
    'src/queue/',
    'src/strategy/',
    'src/sys/',
  ],
  'bench/': [
    'bench/fairness.ts',
    'bench/random.ts',
    'src/options/',
    'src/schema/',
    'src/sys/',
    'src/top/',
    'd3-scale',
    'd3-shape',
    'zod',
    'node:',
  ],
  // They start a server in-process, to kill its workers or to keep its main busy: nothing else in bench/ may.
  'bench/lab/soak/server-child.ts': ['src/admin/', 'src/index.ts', 'node:'],
  'bench/compare/first-byte-handler.ts': ['bench/', 'kecho-pool/handler'], // as an operator's handler does
  'bench/lab/busy-host/host.ts': ['src/index.ts', 'node:'],
  'bench/lab/noticing/handlers.ts': ['kecho-pool/handler'],
  'bench/lab/': ['bench/', 'bench/random.ts', 'src/options/', 'src/sys/', 'node:'],
  // Starts worker threads itself, to time each.
  'bench/lab/thread-start.ts': [
    'bench/',
    'bench/lab/',
    'src/memory/',
    'src/pool/',
    'src/sys/',
    'piscina',
    'node:',
  ],
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
  'src/bin.ts': ['src/cli/', 'src/sys/'],
};

/** Pure functions; and layout.ts, the layout of shared memory. */
const WITHOUT_IMPORTS = [
  'src/cli/help.ts',
  'src/log/rate-limit.ts',
  'src/memory/layout.ts',
  'src/memory/predicates.ts',
  'src/queue/fifo.ts',
];

/** Packages that a single file or room imports. */
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

/** What a file loads at once: its imports without types, and without those that wait for an import(). */
function loadedBy(file: string): string[] {
  const text = readFileSync(join(ROOT, file), 'utf8').replaceAll(
    /^(import|export) type [^;]*;$|\bimport\('[^']+'\)/gm,
    '',
  );
  return importedBy(text, file);
}

/** The room of a file: the longest prefix. */
function roomOf(file: string): string | undefined {
  return Object.keys(ROOMS)
    .filter((room) => file === room || (room.endsWith('/') && file.startsWith(room)))
    .sort((a, b) => b.length - a.length)[0];
}

/** A rule names a room, a package or, ending with a colon, all modules of Node. */
function allows(rule: string, imported: string): boolean {
  if (rule in ROOMS) return roomOf(imported) === rule;
  return imported === rule || (rule.endsWith(':') && imported.startsWith(rule));
}

describe('imports', () => {
  const files = sources();

  it('are found in the sources', () => {
    expect(files).toContain('src/server/server.ts');
    expect(importsOf('src/bin.ts')).toEqual(['src/sys/node-version.ts', 'src/cli/program.ts']);
    expect(importsOf('workers/echo.ts')).toContain('src/memory/layout.ts');
  });

  it('lead to lower rooms only, so rooms have no cycle', () => {
    const below = new Set<string>();
    for (const [room, rules] of Object.entries(ROOMS)) {
      for (const rule of rules.filter((r) => /^(src|workers|bench)\//.test(r))) {
        expect(below.has(rule), `${room} imports ${rule}`).toBe(true);
      }
      below.add(room);
    }
  });

  it('use everything that the table allows', () => {
    for (const [room, rules] of Object.entries(ROOMS)) {
      const imported = files.filter((file) => roomOf(file) === room).flatMap(importsOf);
      for (const rule of rules)
        expect(
          imported.some((name) => allows(rule, name)),
          `${room}: ${rule}`,
        ).toBe(true);
    }
  });

  it.each(files)('follow the table in %s', (file) => {
    const room = roomOf(file);
    expect(room, `${file} is in no room of this test`).toBeDefined();
    const rules = [...(ROOMS[room as string] ?? []), room as string];
    for (const imported of importsOf(file)) {
      expect(
        rules.some((rule) => allows(rule, imported)),
        `${file} imports ${imported}`,
      ).toBe(true);
      const sole = SOLE_IMPORTER[imported];
      if (sole !== undefined && !/^bench\/(peers\/|lab\/thread-start)/.test(file))
        expect(file.startsWith(sole), file).toBe(true);
    }
  });

  /** Everything that a file imports, directly or not; itself only if there is a cycle. */
  function reachedFrom(file: string, next: (file: string) => string[]): Set<string> {
    const reached = new Set(next(file));
    for (const name of reached) {
      if (files.includes(name)) for (const imported of next(name)) reached.add(imported);
    }
    return reached;
  }

  it('have no cycle between files', () => {
    const imports = new Map(files.map((file) => [file, importsOf(file)]));
    for (const file of files)
      expect(reachedFrom(file, (f) => imports.get(f) ?? []).has(file), file).toBe(false);
  });

  it.each(['src/cli/program.ts', 'src/cli/serve.ts'])('%s loads no tool until its command runs', (file) => {
    const loaded = [...reachedFrom(file, loadedBy)];
    expect(loaded).toContain('src/cli/complaint.ts');
    expect(loaded.filter((name) => /^(bench|src\/(top|demo|terminal|cli\/commands))\//.test(name))).toEqual(
      [],
    );
  });

  it.each(WITHOUT_IMPORTS)('%s imports nothing', (file) => {
    expect(importsOf(file)).toEqual([]);
  });

  it('of a thread per connection include no FFI, which would leak memory per thread', () => {
    const reached = reachedFrom('workers/serve-fs.ts', loadedBy);
    expect(reached).toContain('workers/echo.ts');
    expect(reached).not.toContain('src/sys/libc.ts');
    expect(reached).not.toContain('koffi');
  });

  it.each([
    'src/index.ts',
    'src/admin/index.ts',
    'src/admin/thread.ts',
    'src/cli/commands/bench.ts',
    'src/cli/commands/top.ts',
    'bench/load/index.ts',
    'bench/load/main.ts',
  ])('%s loads no schema, only types', (entry) => {
    const reached = reachedFrom(entry, loadedBy);
    expect(reached.size).toBeGreaterThan(10);
    expect(reached).not.toContain('zod');
  });

  it.each(['kworker', 'serve-ffi', 'serve-fs'])(
    '%s has no top-level await: see workers/thread.ts',
    (name) => {
      // Loading it here fails with a TypeError, as this is not a worker; a top-level await would fail before that.
      const load = () => createRequire(import.meta.url)(join(ROOT, `workers/${name}.ts`));
      expect(load).toThrow(TypeError);
    },
  );

  it.each(Object.entries(FIRST_TASK))(
    '%s exports %s, and no default: see src/pool/threads.ts',
    (name, task) => {
      const source = readFileSync(join(ROOT, `workers/${name}.ts`), 'utf8');
      expect(source).toMatch(new RegExp(`^export (const|function) ${task}\\b`, 'm'));
      expect(source).not.toMatch(/^export default|\bas default\b/m);
    },
  );

  it('no source reads the wall clock: only monotonic time is used', () => {
    const clocks = /\bDate\b|performance\.timeOrigin|CLOCK_REALTIME|gettimeofday/;
    for (const file of files.filter((name) => !name.startsWith('bench/'))) {
      expect(clocks.exec(readFileSync(join(ROOT, file), 'utf8'))?.[0], file).toBeUndefined();
    }
    // A benchmark reports the date of its run, but does not measure with it.
    for (const file of files.filter((name) => name.startsWith('bench/'))) {
      expect(readFileSync(join(ROOT, file), 'utf8').includes('Date.now'), file).toBe(false);
    }
  });
});

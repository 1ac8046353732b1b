/**
 * Goal: modules know only what they may know, so that data flows one way and a strategy can be replaced.
 * Method: every import statement of the source is read and held against the table below; a folder or file
 * that the table does not know fails, so a new one must be thought about.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** Who may import what, by longest matching prefix. Own folder is always allowed. */
const MAY_IMPORT: Record<string, string[]> = {
  'src/bin.ts': ['src/cli.ts'],
  'src/gather-options.ts': ['src/options.ts'],
  'src/cli.ts': [
    'src/address-clash.ts',
    'src/listen-failures.ts',
    'src/admin/index.ts',
    'src/gather-options.ts',
    'src/help.ts',
    'src/options.ts',
    'src/server.ts',
    'src/log.ts',
    'pino',
    'src/status.ts',
    'src/sys/signals.ts',
    'src/systemd.ts',
    'bench/bench-command.ts',
    'bench/compare-command.ts',
    'src/demo/demo-command.ts',
    'src/top/top-command.ts',
    'commander',
    'node:fs',
  ],
  'src/help.ts': [],
  'src/address-clash.ts': ['src/options.ts', 'src/options/', 'node:dns/promises', 'node:net'],
  'src/listen-failures.ts': ['src/sys/errno.ts', 'src/systemd.ts'],
  'src/index.ts': ['src/options.ts', 'src/server.ts', 'src/stats.ts', 'src/sys/', 'pino'],
  'src/server.ts': ['src/', 'pino', 'node:worker_threads'],
  'src/admission.ts': [
    'src/connections.ts',
    'src/events.ts',
    'src/limits.ts',
    'src/lingering.ts',
    'src/options.ts',
    'src/per-address.ts',
    'src/refusals.ts',
    'src/shared/',
    'src/strategy/strategy.ts',
    'src/sys/',
    'pino',
  ],
  'src/stats.ts': [
    'src/connections.ts',
    'src/options.ts',
    'src/pool/',
    'src/shared/',
    'src/strategy/strategy.ts',
  ],
  'src/log.ts': [
    'src/limits.ts',
    'src/listener.ts',
    'src/log-sink.ts',
    'src/options.ts',
    'src/sys/sockaddr.ts',
    'pino',
    'pino-pretty',
  ],
  'src/log-sink.ts': ['src/sys/'],
  'src/options.ts': ['src/options/', 'src/strategy/predicates.ts', 'node:os'],
  'src/options/': [
    'node:net',
    'node:util',
    'src/service.ts',
    'src/strategy/predicates.ts',
    'src/shared/layout.ts',
  ],
  'src/limits.ts': ['src/options.ts', 'src/shared/layout.ts'],
  'src/connections.ts': ['src/shared/', 'src/sys/'],
  'src/listener.ts': [
    'src/listening-socket.ts',
    'src/sys/',
    'node:dns/promises',
    'node:fs',
    'node:net',
    'node:os',
  ],
  'src/listening-socket.ts': ['src/options/values.ts', 'src/sys/'],
  'src/systemd.ts': ['src/options.ts', 'src/sys/'],
  'src/events.ts': ['src/sys/clock.ts'],
  'src/status.ts': [
    'src/events.ts',
    'src/limits.ts',
    'src/options.ts',
    'src/pool/roster.ts',
    'src/shared/',
    'src/stats.ts',
    'src/sys/sockaddr.ts',
    'node:fs',
  ],
  'src/admin/': [
    'src/options/',
    'src/stats.ts',
    'src/status.ts',
    'hono',
    '@hono/node-server',
    '@hono/node-server/utils/response',
    'prom-client',
    'node:',
  ],
  'src/terminal/': ['src/sys/signals.ts', 'node:fs', 'node:readline'],
  // A client of the admin endpoint: of the server it knows the types only.
  'src/top/': [
    'src/options/',
    'src/pool/cpu-pools.ts',
    'src/pool/roster.ts',
    'src/status.ts',
    'src/sys/self-connect.ts',
    'src/terminal/',
    'node:http',
    'node:util',
  ],
  'src/demo/': [
    'src/admin/index.ts',
    'src/options/',
    'src/server.ts',
    'src/stats.ts',
    'src/status.ts',
    'src/sys/clock.ts',
    'src/sys/self-connect.ts',
    'src/terminal/',
    'node:net',
    'node:util',
  ],
  'src/rate-limit.ts': [],
  'src/per-address.ts': ['src/sys/sockaddr.ts'],
  'src/refusals.ts': ['src/rate-limit.ts', 'src/strategy/strategy.ts'],
  'src/lingering.ts': ['src/shared/', 'src/sys/'],
  'src/spill-eviction.ts': ['src/connections.ts', 'src/per-address.ts', 'src/shared/', 'src/sys/'],
  'src/timeouts.ts': [
    'src/connections.ts',
    'src/options.ts',
    'src/pool/roster.ts',
    'src/shared/',
    'src/sys/',
  ],
  'src/traces.ts': ['src/shared/layout.ts'],
  'src/queue/fifo.ts': [],
  'src/queue/worklist.ts': ['src/sys/'],
  'src/pool/deaths.ts': ['src/events.ts'],
  'src/pool/threads.ts': [
    'src/queue/',
    'src/shared/layout.ts',
    'src/sys/',
    'piscina',
    'node:timers/promises',
    'node:worker_threads',
  ],
  'src/pool/': ['src/queue/', 'src/shared/', 'src/sys/', 'src/strategy/predicates.ts'],
  'src/strategy/predicates.ts': [],
  'src/strategy/': [
    'src/pool/',
    'src/queue/',
    'src/shared/',
    'src/options.ts',
    'src/events.ts',
    'src/limits.ts',
    'src/rate-limit.ts',
    'src/service.ts',
    'src/sys/',
  ],
  'src/service.ts': [],
  'src/shared/layout.ts': ['src/service.ts'],
  'src/shared/latency.ts': ['src/shared/layout.ts', 'src/sys/clock.ts'],
  'src/shared/': ['src/strategy/predicates.ts'],
  'src/sys/libc.ts': ['koffi', 'src/sys/errno.ts'],
  'src/sys/errno.ts': ['node:os', 'node:util'],
  'src/sys/': ['node:fs', 'node:inspector', 'node:net', 'node:os', 'node:path', 'node:tty'],
  'workers/': [
    'node:fs',
    'src/shared/',
    'src/sys/',
    'src/service.ts',
    'src/strategy/predicates.ts',
    'node:worker_threads',
  ],
  'bench/': ['src/sys/', 'node:'],
  // Starts a server and kills its workers on order, which the command line cannot: nothing else in bench/ may.
  'bench/soak/server-child.ts': ['src/index.ts', 'node:'],
  'bench/peers/': ['piscina', 'node:'], // programs to compare with, each on its own
};

/** Packages with one importer. */
const SOLE_IMPORTER: Record<string, string> = {
  piscina: 'src/pool/threads.ts',
  koffi: 'src/sys/libc.ts',
  commander: 'src/cli.ts',
  'pino-pretty': 'src/log.ts',
  'prom-client': 'src/admin/metrics.ts',
  hono: 'src/admin/app.ts',
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

function rulesFor(file: string): string[] | null {
  const prefix = Object.keys(MAY_IMPORT)
    .filter((p) => file === p || (p.endsWith('/') && file.startsWith(p)))
    .sort((a, b) => b.length - a.length)[0];
  if (prefix === undefined) return null;
  return [...(MAY_IMPORT[prefix] ?? []), ...(prefix.endsWith('/') ? [prefix] : [])];
}

function allows(rule: string, imported: string): boolean {
  return imported === rule || (/[/:]$/.test(rule) && imported.startsWith(rule));
}

describe('imports', () => {
  const files = sources();

  it('finds the sources', () => {
    expect(files).toContain('src/server.ts');
    expect(importsOf('src/bin.ts')).toEqual(['src/cli.ts']);
    expect(importsOf('workers/echo.ts')).toContain('src/shared/layout.ts');
  });

  it.each(files)('%s', (file) => {
    const rules = rulesFor(file);
    expect(rules, `${file} is not in the table of this test`).not.toBeNull();
    for (const imported of importsOf(file)) {
      expect(
        rules?.some((rule) => allows(rule, imported)),
        `${file} imports ${imported}`,
      ).toBe(true);
      const sole = SOLE_IMPORTER[imported];
      if (sole !== undefined && !file.startsWith('bench/peers/')) expect(file).toBe(sole);
    }
  });

  /** Everything that a worker's entry loads. */
  function loadedBy(entry: string): Set<string> {
    const reached = new Set([entry]);
    for (const file of reached) {
      if (files.includes(file)) for (const imported of valuesFrom(file)) reached.add(imported);
    }
    return reached;
  }

  it('a thread per connection loads no FFI, which would leave memory behind for each', () => {
    const reached = loadedBy('workers/serve-fs.ts');
    expect(reached).toContain('workers/echo.ts');
    expect(reached).not.toContain('src/sys/libc.ts');
    expect(reached).not.toContain('koffi');
  });

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

/**
 * Goal: `kecho-pool bench` does what its help says: options and usage errors, thresholds, formats, exit codes; an
 * interrupted measurement is written as partial and leaves no process behind.
 * Method: the command as a child process against servers in this process; parsing and formatting directly.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { CSV_HEAD, hgrm } from '../bench/load/command/formats.ts';
import { latencyChart } from '../bench/load/command/latency-chart.ts';
import { liveText } from '../bench/load/command/output.ts';
import { parseThreshold, thresholdFailures } from '../bench/load/command/thresholds.ts';
import { clientCounts, parseTarget } from '../bench/load/command/values.ts';
import { loadOptions } from '../bench/load/load-options.ts';
import { BenchLine, type Distribution } from '../bench/load/schema.ts';
import { Times } from '../bench/load/times.ts';
import { command } from '../src/cli/commands/bench.ts';
import { complaintOf } from '../src/cli/complaint.ts';
import { BIN, Child } from './support/child.ts';
import { expectForm } from './support/form.ts';
import { bench, childrenOf, runsOf, startBench } from './support/load-bench.ts';
import { answersAfter, echo, serverThat } from './support/load-servers.ts';
import { parsed } from './support/parsed.ts';
import { hasCommand } from './support/process.ts';
import { until } from './support/wait.ts';

const benchOptions = (args: readonly string[]) => parsed(command, args);

describe('options', () => {
  /** A command line, and what the error message must contain. */
  type Mistake = readonly [line: string, ...parts: string[]];
  const mistakes: readonly Mistake[] = [
    ['--mode flood', '--mode', '"flood"', 'burst, closed, open, churn'],
    ['--clients 0', '--clients', '"0"', '1 to 8192'],
    ['--clients 9..3', '--clients', '"9..3"', '1..1000/50'],
    ['--clients 1..1000', '--clients', 'not 1000', 'at most 200'],
    ['--clients', '--clients', 'a value is missing', '1 to 8192'],
    ['--durtion 5s', "'--durtion' (Did you mean --duration?)"],
    ['--duration 0', '--duration', '--mode burst'],
    ['--json=', '--json', 'standard output'],
    ['--requests many', '--requests', '"many"', 'an integer from 1'],
    ['--mode open --requests 5', '--requests', '5', 'burst, closed or churn'],
    ['--rate 5', '--rate', '5', 'open'],
    ['--arrivals poisson', '--arrivals', 'poisson', 'only with --mode open'],
    ['--mode open --arrivals bursty', '--arrivals', '"bursty"', 'even, poisson'],
    ['--mode open --rate 0', '--rate', '"0"', '0.1 to 1000000'],
    ['--duration 5', '--duration', '"5"', '250ms, 10s or 5m'],
    ['--duration 11m', '--duration', '"11m"', '10m'],
    ['--timeout 0', '--timeout', '"0"', '1ms to 1m'],
    ['--size 3g', '--size', '"3g"', '1B to 1MiB'],
    ['--repeat 1.5', '--repeat', '"1.5"', '1 to 1000'],
    ['--seed x', '--seed', '"x"', '0 to 2147483647'],
    ['--threshold p98<5ms', '--threshold', '"p98<5ms"', 'p99.9'],
    ['--threshold p99<5', '--threshold', '"p99<5"', '5ms'],
    ['--threshold errors<5ms', '--threshold', '"errors<5ms"', 'a number'],
    ['--threshold unsent<1', '--threshold', '"unsent<1"', '--mode open', 'closed'],
    ['--csv --json', '--json', '--csv', 'standard output'],
    ['--hgrm --clients 1,2', '--hgrm', 'not 2'],
    ['--stages 10s', '--stages', '"10s"', '10s:100,30s:1000'],
    ['--stages 10s:5,0:5', '--stages', '"0:5"', 'from 1ms to 10m'],
    ['--stages 11m:5', '--stages', '"11m:5"', 'from 1ms to 10m'],
    ['--stages 1s:0', '--stages', '0', 'clients from 1 to 8192'],
    ['--stages 1s:1.5', '--stages', '1.5', 'clients from 1 to 8192'],
    ['--mode open --stages 1s:0', '--stages', '0', 'a rate from 0.1 to 1000000'],
    ['--stages 1s:5 --clients 5', '--clients', 'not together with --stages'],
    ['--stages 1s:5 --duration 5s', '--duration', 'not together with --stages'],
    ['--stages 1s:5 --requests 5', '--requests', 'not together with --stages'],
    ['--mode open --stages 1s:5 --rate 5', '--rate', 'not together with --stages'],
    ['--mode open --stages 1s:5 --clients 1,2', '--clients', 'a single number with --stages'],
    ['--hgrm --stages 1s:1,1s:2', '--hgrm', 'not 2'],
    ['--server-admin 9090 --mode burst', '--server-admin', '"9090"', 'closed, open or churn'],
    ['--server-admin :9090', '--server-admin', '":9090"', 'a port like 9090'],
    ['--start-at 14:00', '--start-at', '"14:00"', 'within the next hour'],
    ['example.com:7', '"example.com:7"', 'this machine', 'another one needs --remote'],
    ['10.0.0.1:7', '"10.0.0.1:7"', 'this machine', 'another one needs --remote'],
    ['--remote a..b:7', '"a..b:7"', 'the name of a host'],
    ['127.0.0.1:70000', 'port', '"70000"', '65535'],
    ['7 8', 'unexpected argument "8"'],
    ['--json 7 8', 'target', 'only one'],
    ['--frobnicate', '--frobnicate'],
  ];
  const long: readonly Mistake[] = [
    [`--clients ${'9'.repeat(500)}x`, '--clients', `"${'9'.repeat(80)}..."`, '1 to 8192'],
    [`${'a'.repeat(500)}:7`, `"${'a'.repeat(80)}..."`, 'this machine'],
    [`--${'b'.repeat(500)}`, 'bbb...'],
  ];

  it.each(mistakes)('refuses %s in one line', expectMessage);
  it.each(long)('refuses an overlong value in one short line: %#', expectMessage);

  function expectMessage(line: string, ...parts: readonly string[]): void {
    let message: string | null = null;
    try {
      benchOptions(line.split(' '));
    } catch (error) {
      message = complaintOf(error, command());
    }
    expect(message).not.toContain('\n');
    expect(message?.length).toBeLessThan(350);
    for (const part of parts) expect(message).toContain(part);
  }

  it('ends with exit code 2 and one line, without measuring, on a usage error', async () => {
    const { code, stdout, stderr } = await bench('--clients', 'x');
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(/^kecho-pool bench: --clients: "x" is not allowed: [^\n]*\n$/);
    const file = await bench('--json', '/nonexistent/file', '1');
    expect([file.code, file.stdout]).toEqual([2, '']);
    expect(file.stderr).toMatch(/^kecho-pool bench: --json: [^\n]*ENOENT[^\n]*\n$/);
  });

  it('parses lists, ranges, durations, sizes and targets', () => {
    const clientsFlag = (text: string) => clientCounts(8192, 200)(text, '--clients');
    expect(clientsFlag('100,1,10,1')).toEqual([1, 10, 100]);
    expect(clientsFlag('1..10/3,50')).toEqual([1, 3, 6, 9, 10, 50]);
    expect(clientsFlag('1..1000/50')).toEqual([1, ...Array.from({ length: 20 }, (_, i) => (i + 1) * 50)]);
    const warmupMs = (text: string) => benchOptions(['--warmup', text]).warmupMs;
    expect(['250ms', '10s', '5m', '1.5s'].map(warmupMs)).toEqual([250, 10_000, 300_000, 1500]);
    const messageBytes = (text: string) => benchOptions(['--size', text]).messageBytes;
    expect(['64', '4k', '1m', '4KiB', '64B'].map(messageBytes)).toEqual([64, 4096, 2 ** 20, 4096, 64]);
    expect(parseTarget('7')).toEqual({ address: '127.0.0.1', port: 7 });
    expect(parseTarget(':7')).toEqual({ address: '127.0.0.1', port: 7 });
    for (const text of ['localhost', 'LOCALHOST', 'localhost.']) {
      expect(parseTarget(text)).toEqual({ address: 'localhost', port: 12345 });
    }
    expect(parseTarget('127.0.0.2:7')).toEqual({ address: '127.0.0.2', port: 7 });
    expect(parseTarget('[::1]:7')).toEqual({ address: '::1', port: 7 });
    expect(parseTarget('::1')).toEqual({ address: '::1', port: 12345 });
  });

  it.each([
    ['127.1', '127.0.0.1'],
    ['127.1:7', '127.0.0.1'],
    ['0x7f.0.0.2:7', '127.0.0.2'],
    ['0:0:0:0:0:0:0:1', '::1'],
    ['[0000:0000:0000:0000:0000:0000:0000:0001]:7', '::1'],
    ['[::1%lo]:7', '::1'],
    ['::ffff:127.0.0.1', '127.0.0.1'],
    ['[::FFFF:7f00:2]:7', '127.0.0.2'],
  ])('accepts %s as this machine, %s', (text, address) => {
    expect(parseTarget(text).address).toBe(address);
    expect(loadOptions(['--port', '7', '--address', text.replace(/^\[|\]?:7$/g, '')]).address).toBe(address);
    expect(benchOptions(['--json', text])).toMatchObject({ json: '-', target: { address } }); // no file
  });

  it.each(['0.0.0.0', '::', '::2', '::ffff:10.0.0.1', '128.1', '127.abc', '127.0.0.1.example.com'])(
    'refuses %s as another machine',
    (text) => {
      expect(() => parseTarget(text)).toThrow(/this machine/);
    },
  );

  it.each([
    ['10.0.0.1:7', '10.0.0.1'],
    ['[2001:db8::1]:7', '2001:db8::1'],
    ['server.example:7', 'server.example'],
    ['127.1:7', '127.0.0.1'],
  ])('accepts %s with --remote', (text, address) => {
    expect(benchOptions(['--remote', text])).toMatchObject({ target: { address, port: 7 } });
  });

  it('takes the stages of a ramp as clients, in open mode as rates', () => {
    const stages = ['--stages', '10s:100, 500ms:2'];
    expect(benchOptions(stages).steps).toMatchObject([
      { stage: 1, clients: 100, durationMs: 10_000 },
      { stage: 2, clients: 2, durationMs: 500 },
    ]);
    expect(benchOptions(['--mode', 'open', '--clients', '7', ...stages]).steps).toEqual([
      { stage: 1, clients: 7, rate: 100, durationMs: 10_000 },
      { stage: 2, clients: 7, rate: 2, durationMs: 500 },
    ]);
  });

  it('tells a target from the file of --json', () => {
    expect(benchOptions(['--json', '127.0.0.1:7'])).toMatchObject({ json: '-', target: { port: 7 } });
    expect(benchOptions(['--json', 'out.json', '7'])).toMatchObject({
      json: 'out.json',
      target: { port: 7 },
    });
    expect(benchOptions(['7', '--json', '--clients', '3'])).toMatchObject({
      json: '-',
      steps: [{ clients: 3 }],
    });
    for (const flag of ['json', 'csv', 'hgrm']) {
      expect(benchOptions([`--${flag}`, '-', '7'])).toMatchObject({ [flag]: '-', target: { port: 7 } });
      expect(benchOptions([`--${flag}`, '-'])).toMatchObject({ [flag]: '-', target: { port: 12345 } });
    }
  });

  it('lists every option in --help', async () => {
    const { code, stdout, stderr } = await bench('--help');
    expect([code, stderr]).toEqual([0, '']);
    for (const name of [
      'mode',
      'clients',
      'requests',
      'duration',
      'rate',
      'arrivals',
      'size',
      'repeat',
      'warmup',
      'timeout',
      'seed',
      'json',
      'csv',
      'hgrm',
      'threshold',
      'stages',
      'start-at',
      'server-admin',
    ]) {
      expect(stdout).toContain(`--${name} `);
    }
  });
});

describe('thresholds', () => {
  const response: Distribution = {
    ...{ count: 10, averageMs: 2, worstMs: 9, p50Ms: 1, p90Ms: 4, p95Ms: 4.5, p99Ms: 5, p999Ms: 8 },
    ...{ censored: 0, atLeast: [] },
  };
  const errors = { refused: 0, reset: 0, timeout: 0, wrongBytes: 0, earlyClose: 0, other: 0 };
  const point = {
    clients: 3,
    runs: [],
    times: new Times(),
    response,
    lateness: response,
    raw: response,
    connect: { ...response, count: 3, averageMs: 20, p99Ms: 40, worstMs: 50 },
    perSecond: 100,
    errors,
    errorTotal: 2,
    due: 12,
    unsent: 0,
    cpuPerSampleUs: null,
    partial: false,
  };

  it.each([
    ['p99<5ms', false],
    ['p99<=5ms', true],
    ['p99<5001us', true],
    ['worst<1s', true],
    ['p99.9 < 7ms', false],
    ['avg>1ms', true],
    ['p50>=2ms', false],
    ['p90<4ms', false],
    ['p95 < 5ms', true],
    ['p95 <= 4 ms', false],
    ['connect-avg<=20ms', true],
    ['connect-p99<40ms', false],
    ['connect-worst<51ms', true],
    ['errors<3', true],
    ['errors<=1', false],
    ['throughput>99', true],
    ['throughput>100/s', false],
    ['unsent<1', true],
    ['unsent>0', false],
  ])('judges %s as passed: %s', (text, kept) => {
    expect(thresholdFailures(point, [parseThreshold(text)]).length).toBe(kept ? 0 : 1);
  });

  it.each([
    ['p99<1s', false],
    ['p99>4ms', true],
    ['p99>6ms', false],
    ['p50<2ms', true],
    ['connect-p99<1s', true],
  ])('judges %s, with a p99 of at least 5 ms, as passed: %s', (text, kept) => {
    const bound: Distribution = { ...response, censored: 1, atLeast: ['averageMs', 'worstMs', 'p99Ms'] };
    expect(thresholdFailures({ ...point, response: bound }, [parseThreshold(text)])).toEqual(
      kept
        ? []
        : [
            `threshold ${text} failed at 3 clients: at least 5.000 ms, as 1 of 11 timed out or were never sent`,
          ],
    );
  });

  it('fails a time without samples', () => {
    const nothing = { ...point, response: { ...response, count: 0, p99Ms: 0 } };
    expect(thresholdFailures(nothing, [parseThreshold('p99<5ms')])).toEqual([
      'threshold p99<5ms failed at 3 clients: no sample',
    ]);
  });

  it('fails thresholds on errors and times for unsent requests, unless a threshold on unsent allows them', () => {
    const overrun = { ...point, unsent: 7 };
    const parsed = (...texts: string[]) => texts.map(parseThreshold);
    for (const text of ['errors<3', 'p99<=5ms', 'avg<1s', 'worst<1s']) {
      expect(thresholdFailures(point, parsed(text)), text).toEqual([]);
      expect(thresholdFailures(overrun, parsed(text)), text).toEqual([
        `threshold ${text} failed at 3 clients: 7 of 12 requests were never sent (--threshold 'unsent<N' allows some)`,
      ]);
      expect(thresholdFailures(overrun, parsed(text, 'unsent<8')), text).toEqual([]);
    }
    expect(thresholdFailures(overrun, parsed('throughput>99'))).toEqual([]);
    expect(thresholdFailures(overrun, parsed('errors<3', 'unsent<7'))).toEqual([
      'threshold unsent<7 failed at 3 clients: 7',
    ]);
    expect(thresholdFailures(overrun, parsed('errors<3', 'p99<=5ms'))).toHaveLength(1); // one line for all
  });

  it('fails thresholds on times for requests that timed out, unless a threshold on errors allows them', () => {
    const late = { ...point, errors: { ...errors, timeout: 2 } };
    const judged = (...texts: string[]) => thresholdFailures(late, texts.map(parseThreshold));
    expect(judged('p50<=1ms', 'worst<1s', 'throughput>99')).toEqual([
      "threshold p50<=1ms, worst<1s failed at 3 clients: 2 requests timed out (--threshold 'errors<N' allows some)",
    ]);
    expect(judged('p50<=1ms', 'errors<3')).toEqual([]);
    expect(judged('p50<=1ms', 'errors<2')).toEqual(['threshold errors<2 failed at 3 clients: 2']);
    expect(judged('throughput>99')).toEqual([]);
  });

  it('ends with exit code 10 when one failed, 0 when all passed', async () => {
    const port = await serverThat(answersAfter(30));
    const args = ['--mode', 'burst', '--clients', '2', '--warmup', '0', String(port)];
    const failed = await bench('--threshold', 'worst<60s', '--threshold', 'p50<20ms', ...args);
    expect(failed.code).toBe(10);
    expect(failed.stderr).toMatch(/threshold p50<20ms failed at 2 clients: \d/);
    expect(failed.stderr).not.toContain('worst');
    const [, chart = ''] = failed.stdout.split('\n\n'); // it follows the table of a single point
    const counts = [...chart.matchAll(/ % {2}(\d+)$/gm)].map(([, count]) => Number(count));
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(2);
    expect((await bench('--threshold', 'p50>=29ms', ...args)).code).toBe(0);
  });
});

describe('output', () => {
  function folder(): string {
    const path = mkdtempSync(join(tmpdir(), 'kecho-bench-'));
    onTestFinished(() => rmSync(path, { recursive: true }));
    return path;
  }

  it('writes JSON, CSV and percentiles of a sweep with repeats, and prints the table', async () => {
    const port = await serverThat(echo);
    const path = folder();
    const files = [
      '--json',
      join(path, 'a.json'),
      '--csv',
      join(path, 'a.csv'),
      '--hgrm',
      join(path, 'a.hgrm'),
    ];
    const sweep = [
      '--mode',
      'burst',
      '--clients',
      '1,3',
      '--requests',
      '7',
      '--repeat',
      '2',
      '--warmup',
      '0',
    ];
    const { code, stdout, stderr } = await bench(...files, ...sweep, '--seed', '5', String(port));
    // No progress line without a terminal; that the machine was busy is no mistake.
    expect([code, stderr.replace(/^kecho-pool bench: warning: .*\n/gm, '')]).toEqual([0, '']);
    expect(stdout).toMatch(/^burst 127\.0\.0\.1:\d+, 7 requests per client, 64 bytes, 2 repeats, seed 5\n/);
    expect(
      stdout
        .split('\n')
        .slice(3, 5)
        .map((line) => line.trim().split(/\s+/).slice(0, 2)),
    ).toEqual([
      ['1', '14'],
      ['3', '42'],
    ]);
    const lines = readFileSync(join(path, 'a.json'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines.map(({ clients, repeat, completed }) => [clients, repeat, completed])).toEqual([
      [1, 1, 7],
      [3, 1, 21],
      [1, 2, 7],
      [3, 2, 21],
    ]);
    for (const line of lines) expectForm(BenchLine, line);
    const text = readFileSync(join(path, 'a.json'), 'utf8') + readFileSync(join(path, 'a.csv'), 'utf8');
    expect(text).not.toMatch(/\d\.\d{13}/); // a double as it is
    expect(lines[0]).toMatchObject({
      ...{ mode: 'burst', requests: 7, messageBytes: 64, seed: 5 },
      ...{ errorTotal: 0, partial: false },
    });
    const csv = readFileSync(join(path, 'a.csv'), 'utf8').trim().split('\n');
    expect(`${csv[0]}\n`).toBe(CSV_HEAD);
    expect(csv.length).toBe(5);
    expect(new Set(csv.map((line) => line.split(',').length)).size).toBe(1);
    expect(existsSync(join(path, 'a.hgrm'))).toBe(false); // one for each point of a sweep
    expect(readFileSync(join(path, 'a-3.hgrm'), 'utf8')).toMatch(/Total count {4}= +42\]/);
  });

  it('measures each stage of a ramp, and names it in table, JSON and thresholds', async () => {
    const port = await serverThat(echo);
    const ramp = ['--mode', 'burst', '--stages', '1ms:2,1ms:1', '--warmup', '0', '--threshold', 'p50 < 1us'];
    const path = join(folder(), 'ramp.json');
    const { code, stdout, stderr } = await bench(...ramp, '--json', path, String(port));
    expect(code).toBe(10);
    expect(stdout).toMatch(/^burst 127\.0\.0\.1:\d+, 1 requests per client, 2 stages, 64 bytes, seed \d+\n/);
    expect(stdout).toMatch(/\nstage +clients +samples .*\n +1 +2 .*\n +2 +1 .*\n$/);
    expect(stderr).toMatch(/threshold p50<1us failed in stage 1 \(2 clients\)/);
    const runs = runsOf({ stdout: readFileSync(path, 'utf8') });
    expect(runs.map(({ stage, clients, durationMs }) => [stage, clients, durationMs])).toEqual([
      [1, 2, 1],
      [2, 1, 1],
    ]);
  });

  it('prints nothing else when a format goes to standard output', async () => {
    const port = await serverThat(echo);
    const args = ['--mode', 'burst', '--warmup', '0', String(port)];
    const csv = await bench('--csv', ...args);
    expect(csv.stdout.startsWith(CSV_HEAD)).toBe(true);
    expect(csv.stdout.trim().split('\n').length).toBe(2);
    const [names, values] = csv.stdout.split('\n').map((line) => line.split(','));
    // Unknown, not zero.
    for (const name of ['serverCpuPerSampleUs', 'roundTripMs', 'stage'])
      expect(values?.[names?.indexOf(name) ?? -1], name).toBe('');
    const percentiles = await bench('--hgrm', ...args);
    expect(percentiles.stdout).toMatch(/^ +Value +Percentile TotalCount 1\/\(1-Percentile\)\n\n/);
  });

  it('writes percentiles with the values, fractions and counts of a sorted list', () => {
    const times = new Times();
    for (let i = 1; i <= 1000; i++) times.record(i);
    const rows = hgrm(times)
      .split('\n')
      .filter((line) => /^ +\d/.test(line))
      .map((line) => line.trim().split(/\s+/).map(Number));
    expect(rows.length).toBeGreaterThan(40);
    for (const [ms = 0, fraction = 0, total = 0, inverse] of rows) {
      expect(total).toBeGreaterThanOrEqual(fraction * 1000 - 1e-6); // samples not above the value
      expect(Math.abs(ms - total)).toBeLessThanOrEqual(1 + total * 0.0005);
      if (inverse !== undefined) expect(inverse).toBeCloseTo(1 / (1 - fraction), 1);
    }
    expect(rows.at(-1)).toEqual([1000, 1, 1000]);
  });
});

describe('the chart of response times', () => {
  function chartOf(samples: readonly number[], censored: readonly number[] = []): string[] {
    const times = new Times();
    for (const ms of samples) times.record(ms);
    for (const ms of censored) times.censor(ms);
    return latencyChart(times);
  }

  it('has each sample in one of twelve ranges', () => {
    const samples = Array.from({ length: 1000 }, (_, i) => 0.05 * 1.01 ** i);
    const lines = chartOf(samples).slice(1);
    expect(lines.length).toBe(12);
    const counts = lines.map((line) => Number(line.trim().split(/\s+/).at(-1)));
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(1000);
    for (const count of counts) expect(Math.abs(count - 1000 / 12)).toBeLessThan(5); // equal ratios
    expect(lines[0]).toMatch(/^ {2}0\.050 - {3}0\.1\d+ {2}#{35,40} +8\.\d % {2}\d+$/);
  });

  it('has one range for equal times, a line for those without an answer, and none without any', () => {
    expect(chartOf([2, 2, 2, 2])).toEqual(['', `   2.00 -    2.10  ${'#'.repeat(40)}  100.0 %  4`]);
    expect(chartOf([2], [5, 6, 7]).at(-1)).toBe(`        no answer  ${'#'.repeat(40)}   75.0 %  3`);
    expect(chartOf([])).toEqual([]);
  });
});

describe('progress', () => {
  it('tells the phase, then what was measured so far', () => {
    const live = { forMs: 2000, completed: 0, errors: 0 };
    expect(liveText({ ...live, phase: 'warm-up' })).toBe(', warm-up');
    expect(liveText({ ...live, phase: 'window', completed: 12_000 })).toBe(
      ', 12,000 samples in 2.0 s, 6,000/s',
    );
    expect(liveText({ ...live, phase: 'window', errors: 3 })).toContain('3 errors');
  });

  it.skipIf(!hasCommand('script'))('is one line that is rewritten, and erased at the end', async () => {
    const port = await serverThat(answersAfter(5)); // costs no processor meanwhile
    const line = `exec ${process.execPath} ${BIN} bench --clients 1 --warmup 0 --duration 2s --csv ${port}`;
    const child = new Child('script', ['-qec', line, '/dev/null']);
    expect((await child.untilEnded()).code).toBe(0);
    const [before = '', ...after] = child.stdout.split('run 1 of 1: 1 clients').slice(0, -1);
    expect(after.join('')).not.toContain('\n');
    expect(before.endsWith('\r\x1b[K')).toBe(true);
    expect(child.stdout).toMatch(/run 1 of 1: 1 clients, [\d,]+ samples in \d/);
    expect(child.stdout.split('\r\x1b[K').at(-1)).not.toContain('run 1');
  });
});

describe('interrupted', () => {
  it.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
    'writes the results as partial and leaves no process behind on %s',
    async (signal) => {
      let requests = 0;
      const port = await serverThat((socket) => {
        echo(socket);
        socket.on('data', () => requests++);
      });
      const child = startBench([
        '--clients',
        '3',
        '--warmup',
        '0',
        '--duration',
        '5m',
        '--repeat',
        '3',
        '--json',
        String(port),
      ]);
      await until(() => requests > 100, 'requests to come');
      const generators = childrenOf(child.pid);
      expect(generators.length).toBe(1);
      child.signal(signal);
      expect(await child.untilEnded()).toEqual({ code: 130, signal: null });
      const runs = runsOf(child);
      expect(runs.map(({ partial, errorTotal }) => [partial, errorTotal])).toEqual([[true, 0]]);
      expect(runs[0]?.completed).toBeGreaterThan(50);
      expect(child.stderr).toContain('partial');
      for (const pid of generators) expect(existsSync(`/proc/${pid}`)).toBe(false);
    },
  );

  it('leaves no generator behind on SIGKILL', async () => {
    const port = await serverThat(echo);
    const child = startBench(['--duration', '5m', String(port)]);
    const children = await until(() => {
      const found = childrenOf(child.pid);
      return found.length === 2 && found;
    }, 'the generator and its echo to start');
    child.signal('SIGKILL');
    await child.untilEnded();
    await until(() => !children.some((pid) => existsSync(`/proc/${pid}`)), 'both to end by themselves');
  });
});

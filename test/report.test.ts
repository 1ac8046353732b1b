/**
 * Goal: the report shows the results: every server is in every chart, no text from the command line becomes markup, and
 * a browser displays it without any request.
 * Method: the real report from synthetic results; the last part opens it in Chromium, if installed.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import { analyse } from '../bench/compare/analyse.ts';
import { besideBaseline } from '../bench/compare/baseline.ts';
import type { MetricKey } from '../bench/compare/metrics.ts';
import { writeOutput } from '../bench/compare/output.ts';
import { Results } from '../bench/compare/types.ts';
import { chartFiles } from '../bench/report/charts.ts';
import { csvField, csvReport } from '../bench/report/csv.ts';
import { figure } from '../bench/report/format.ts';
import { htmlReport } from '../bench/report/html.ts';
import { spreadLabels } from '../bench/report/line-chart.ts';
import { esc } from '../bench/report/markup.ts';
import { linearScale, logScale, valueScale } from '../bench/report/scale.ts';
import { errorsText, metricText, terminalReport } from '../bench/report/terminal.ts';
import { controlTexts, shownOutcome } from '../bench/report/verdicts.ts';
import { hasChromium, Page } from './support/compare-chromium.ts';
import { type Fake, fakeResults, STRATEGY_FAKES } from './support/compare-results.ts';
import { expectForm } from './support/form.ts';

const HOSTILE = `x"'><script>alert(1)</script><img src=x onerror=alert(2)>&\u001b[31m`;

function withTarget(label: string): Results {
  return fakeResults([
    ...STRATEGY_FAKES,
    { label, kind: 'target', command: `run ${label}`, baseMs: 2, timeouts: 1 },
  ]);
}

function count(text: string, part: string): number {
  return text.split(part).length - 1;
}

describe('results', () => {
  it('match the published schema', () => {
    const results = withTarget('other');
    results.baseline = besideBaseline(results, fakeResults(STRATEGY_FAKES), 'old.json');
    expectForm(Results, results);
  });

  it('judge a slow server worse, an equal one the same, and one with errors failing', () => {
    const { verdicts } = withTarget('other');
    const of = (label: string) => verdicts.filter((v) => v.label === label && v.metric === 'averageMs');
    expect(new Set(of('kthread').map(shownOutcome))).toEqual(new Set(['worse']));
    expect(of('cmwq (again)').every((v) => v.outcome === 'same')).toBe(true);
    expect(of('other').every((v) => v.outcome === 'fails' && v.why === '6 timeout')).toBe(true);
    expect(verdicts.every((v) => v.primary === (v.metric === 'averageMs'))).toBe(true);
  });

  it('say whether the control passes, and how its ratios are distributed', () => {
    const fair = fakeResults(STRATEGY_FAKES);
    const ratios = fair.verdicts.filter(({ label }) => label === 'cmwq (again)').length;
    const [text = ''] = controlTexts(fair);
    expect(text).toContain(`A/A control passes: ${ratios} ratios of the reference to itself: median `);
    expect(text).toMatch(/from \S+ to \S+; \d+ intervals exclude 1, about \d+\.\d are expected/);
    const unfair = fakeResults(
      STRATEGY_FAKES.map((fake) => (fake.kind === 'control' ? { ...fake, baseMs: 2 } : fake)),
    );
    expect(controlTexts(unfair)[0]).toMatch(/^A\/A control fails/);
    expect(controlTexts(unfair)[1]).toMatch(
      /^A\/A control FAILS at response, 1, average response time: worse, /,
    );
    for (const output of [htmlReport(unfair), terminalReport(unfair).join('\n')])
      expect(output).toContain('A/A control FAILS at response');
    expect(controlTexts(fakeResults(STRATEGY_FAKES.slice(2)))).toEqual([
      'A/A control: none, or too few rounds of it.',
    ]);
  });

  it('judge each strategy against its old build, in the same rounds', () => {
    const old: Fake = { label: 'workqueue (before)', kind: 'before', command: 'old', baseMs: 3 };
    const results = fakeResults([...STRATEGY_FAKES, old]);
    const own = results.verdicts.filter(({ reference }) => reference === 'workqueue (before)');
    expect(new Set(own.map(({ label }) => label))).toEqual(new Set(['workqueue']));
    expect(new Set(own.map(shownOutcome))).toEqual(new Set(['better']));
    expect(results.verdicts.some(({ label }) => label === 'workqueue (before)')).toBe(false);
    expect(terminalReport(results).join('\n')).toContain('Against the old build');
    expect(htmlReport(results)).toContain('Against the old build');
  });

  it('count the rounds that the machine disturbed', () => {
    const round = { experiment: 'response', point: '1', round: 2, stealShare: 0, othersShare: 0.4 };
    const disturbed = [true, true, false].map((repeated) => ({ ...round, repeated }));
    const results = { ...fakeResults(STRATEGY_FAKES), disturbed };
    const text = '2 rounds were disturbed by the machine (steal time, other processes) and repeated; 1 were';
    expect(terminalReport(results).join('\n')).toContain(text);
    expect(htmlReport(results)).toContain(text);
    expectForm(Results, results);
  });

  it('say what would decide', () => {
    const { runs, ...rest } = fakeResults(STRATEGY_FAKES.filter(({ label }) => label !== 'kthread'));
    // Every second round of workqueue is twice as fast, the others half.
    for (const run of runs)
      if (run.label === 'workqueue' && run.metrics.averageMs !== undefined)
        run.metrics.averageMs *= run.round % 2 === 0 ? 0.5 : 2.2;
    const lines = terminalReport({ ...rest, runs, ...analyse({ ...rest, runs }) });
    expect(lines.filter((line) => line.includes('workqueue: undecided, average: '))[0]).toMatch(
      /^ {2}1 client, workqueue: undecided, average: \S+ times \(\S+ to \S+\); worse in 3 of 6 rounds; about \d+ rounds would decide$/,
    );
  });

  it('name the arguments that each experiment adds to the commands', () => {
    const html = htmlReport(fakeResults(STRATEGY_FAKES, ['blocking', 'slow-readers', 'zipf', 'mixed']));
    const added = (name: string) =>
      new RegExp(`<dt>${name}</dt><dd>(.*?)</dd>`).exec(html)?.[1]?.replaceAll(/<\/?code>/g, '');
    expect(added('blocking')).toBe('--service sleep:10ms');
    expect(added('zipf')).toBe('--service burn:2ms, --workers 20 (workqueue)');
    expect(added('mixed')).toBe('--handler bench/compare/first-byte-handler.ts');
    expect(added('slow-readers')).toBe(
      '--workers 8 (workqueue, alone), --workers 16 (workqueue, 8 slow readers)',
    );
  });

  it('rank only the CPU time and memory of a worse server whose load generator was the bottleneck', () => {
    const { runs, ...rest } = fakeResults(
      STRATEGY_FAKES.map((fake) => (fake.label === 'workqueue' ? { ...fake, baseMs: 3 } : fake)),
    );
    for (const { load, label } of runs) if (load !== null) load.saturated = label === 'workqueue';
    const { verdicts } = analyse({ ...rest, runs });
    const outcomes = (metric: MetricKey) =>
      new Set(verdicts.filter((v) => v.label === 'workqueue' && v.metric === metric).map(shownOutcome));
    expect(outcomes('cpuPerRequestUs')).toEqual(new Set(['worse']));
    expect(outcomes('averageMs')).toEqual(new Set(['undecided']));
  });

  it('show figures that requests without an answer may raise as lower bounds', () => {
    const { runs, ...rest } = fakeResults(STRATEGY_FAKES);
    for (const { load, label } of runs) {
      if (load !== null && label === 'kthread')
        load.response = { ...load.response, censored: 1, atLeast: ['averageMs', 'worstMs'] };
    }
    const results = { ...rest, runs, ...analyse({ ...rest, runs }) };
    const cells = (label: string) => results.cells.filter((cell) => cell.label === label);
    expect(cells('kthread').every(({ metrics }) => metrics.averageMs?.boundRuns === 6)).toBe(true);
    expect(cells('kthread').every((cell) => metricText(cell, 'averageMs').startsWith('>='))).toBe(true);
    expect(cells('kthread').every((cell) => !metricText(cell, 'p99Ms').startsWith('>='))).toBe(true);
    expect(cells('cmwq').every((cell) => !metricText(cell, 'averageMs').startsWith('>='))).toBe(true);
    expect(htmlReport(results)).toContain('<td class="number">\u2265 ');
    expect(csvReport(results)).toContain(',averageMs worstMs worstClientMs,');
  });

  it('show requests that were never sent beside the errors', () => {
    const cell = withTarget('other').cells.find(({ label }) => label === 'other');
    if (cell === undefined) throw new Error('it has no cell');
    expect(errorsText(cell)).toBe('6 timeout');
    expect(errorsText({ ...cell, errorTotal: 9 })).toBe('6 timeout, 3 unsent');
    expect(csvReport(withTarget('other')).split('\r\n', 1)[0]).toContain(
      ',errors.other,unsent,atLeast,failure',
    );
  });

  it('show the figures of an earlier session without judging them, and note another kernel', () => {
    const before = fakeResults(STRATEGY_FAKES, ['response'], 1);
    const now = fakeResults(
      STRATEGY_FAKES.map((fake) => (fake.label === 'workqueue' ? { ...fake, baseMs: 3 } : fake)),
      ['response'],
      2,
    );
    now.environment.kernel = '7.0.0';
    const baseline = besideBaseline(now, before, 'old.json');
    const { figures, notes } = baseline;
    const at = (results: Results) =>
      results.cells.find(({ label }) => label === 'workqueue')?.metrics.averageMs;
    expect(figures.find(({ label }) => label === 'workqueue')).toMatchObject({
      before: { median: at(before)?.median },
      now: { median: at(now)?.median },
    });
    expect(Object.keys(figures[0] ?? {})).not.toContain('outcome');
    expect(terminalReport({ ...now, baseline }).join('\n')).toContain('Not judged');
    expect(htmlReport({ ...now, baseline })).toContain('Not judged');
    expect(notes).toEqual(['kernel was 6.1.0 and is 7.0.0: not comparable']);
    const { environment } = before;
    const serverHost = { name: 'far', address: '192.0.2.1', roundTripMs: 1, environment };
    expect(besideBaseline({ ...now, serverHost }, now, 'old.json').notes).toEqual([
      'the servers were beside the load and are on far: not comparable',
    ]);
    const later = { ...now, serverHost: { ...serverHost, environment: { ...environment, cores: 64 } } };
    expect(besideBaseline(later, { ...now, serverHost }, 'old.json').notes).toEqual([
      `cores was ${environment.cores} and is 64: not comparable`,
    ]);
  });
});

describe('text', () => {
  it('escapes everything that could become markup', () => {
    expect(esc(`<a href="x" id='y'>&`)).toBe('&lt;a href=&quot;x&quot; id=&#39;y&#39;&gt;&amp;');
    expect(esc('\u0000\u001b\ud800')).toBe('\ufffd\ufffd\ufffd');
  });

  it('has three significant digits, and exact integers', () => {
    expect([0.01234, 1.234, 12.34, 123.4, 12_345.6, 9, 0].map(figure)).toEqual([
      '0.0123',
      '1.23',
      '12.3',
      '123',
      '12,300',
      '9',
      '0',
    ]);
    expect(figure(Number.NaN)).toBe('-');
  });

  it('has one CSV line per run, quoted where needed, without formulas', () => {
    const results = fakeResults(STRATEGY_FAKES);
    expect(csvReport(results).trimEnd().split('\r\n')).toHaveLength(results.runs.length + 1);
    expect(csvField('a "b", c')).toBe('"a ""b"", c"');
    expect(csvField('=1+1')).toBe("'=1+1");
    expect(csvField(null)).toBe('');
  });

  it('prints every server and point, marks a partial run, and has no control characters', () => {
    const lines = terminalReport({ ...withTarget(HOSTILE), partial: true }).join('\n');
    expect(lines).not.toContain('\u001b');
    expect(lines).toContain('PARTIAL');
    for (const { label } of STRATEGY_FAKES) expect(lines).toContain(label);
    expect(lines).toContain('1,000 clients');
  });
});

describe('charts', () => {
  it('have scales that start and end at ticks and keep the order', () => {
    expect(linearScale([3, 47], 0, 100).ticks).toEqual([0, 10, 20, 30, 40, 50]);
    const log = logScale([3, 4700], 0, 100);
    expect(log.ticks[0]).toBeLessThanOrEqual(3);
    expect(log.ticks.at(-1)).toBeGreaterThanOrEqual(4700);
    expect(log.at(30)).toBeGreaterThan(log.at(3));
    expect(valueScale([0, 5000], 0, 1, true).isLog).toBe(false);
    expect(valueScale([1, 5000], 0, 1, false).isLog).toBe(true);
    expect(valueScale([], 0, 1, true).at(1)).not.toBeNaN();
    expect(linearScale([1], 0, 100, 2, true).ticks).toEqual([0, 1]);
    expect(logScale([3, 47], 0, 100).ticks).toEqual([2, 5, 10, 20, 50]);
    const tight = logScale([3, 47], 0, 100, true);
    expect([3, 47].map(tight.at)).toEqual([0, 100]);
    expect(logScale([10], 0, 100).at(10)).toBe(50);
  });

  it('have labels that do not overlap and stay inside', () => {
    const places = spreadLabels([50, 50, 51, 99], 14, 0, 100);
    const sorted = [...places].sort((a, b) => a - b);
    for (let i = 1; i < sorted.length; i++)
      expect((sorted[i] ?? 0) - (sorted[i - 1] ?? 0)).toBeGreaterThanOrEqual(14);
    expect(Math.max(...places)).toBeLessThanOrEqual(100);
    expect(Math.min(...places)).toBeGreaterThanOrEqual(0);
  });

  it('have a curve for every server except the control, and are self-contained files', () => {
    const folder = mkdtempSync(join(tmpdir(), 'kecho-report-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const results = withTarget('other');
    writeOutput(results, folder);
    const files = readdirSync(folder).filter((name) => name.endsWith('.svg'));
    expect(files.filter((name) => !name.includes('timeline'))).toHaveLength(10);
    for (const name of files) {
      const svg = readFileSync(join(folder, name), 'utf8');
      expect(svg.startsWith('<svg xmlns="http://www.w3.org/2000/svg"')).toBe(true);
      expect(svg).toContain('prefers-color-scheme: dark');
      expect(svg).not.toMatch(/NaN|undefined|Infinity/);
      if (!name.includes('timeline')) expect(count(svg, 'data-label='), name).toBe(4);
    }
  });

  it('leave out a timeline in which nothing changes under the load, name its server, and draw no figure that is always zero', () => {
    const results = fakeResults(STRATEGY_FAKES, ['response']);
    for (const { label, samples } of results.timelines) {
      for (const [i, sample] of samples.entries()) {
        sample.queued = 0;
        // Idle before and after; in between it is up and down.
        if (label === 'workqueue')
          Object.assign(sample, { threads: i === 0 ? 3 : 7, nrRunning: i % 2, busyWorkers: 2 });
      }
    }
    const names = chartFiles(results).map(({ name }) => name);
    const of = (label: string) =>
      results.contestants.findIndex((contestant) => contestant.label === label) + 1;
    expect(names).not.toContain(`response-timeline-${of('workqueue')}`);
    expect(names).toContain(`response-timeline-${of('kthread')}`);
    const html = htmlReport(results);
    expect(html).toContain('No timeline of workqueue: ');
    expect(html).toContain('Inside kthread');
    expect(html).not.toContain('>waiting<');
    expect(html).toContain('>nr_running<');
  });

  it('draw cells with errors hollow and label missing data', () => {
    const results = withTarget('other');
    results.cells = results.cells.map((cell) => (cell.label === 'kthread' ? { ...cell, metrics: {} } : cell));
    const html = htmlReport(results);
    expect(html).toContain('class="point hollow"');
    expect(html).toContain('kthread: no data');
    expect(html).not.toMatch(/NaN|undefined/);
  });

  it('show no interval and no verdict with four runs or fewer, in the table, the page and the charts', () => {
    const parts = (runs: number) => {
      const results = fakeResults(STRATEGY_FAKES, ['response', 'telnet'], 1, runs);
      const [page, lines] = [htmlReport(results), terminalReport(results).join('\n')];
      return [
        / \[[\d.,]+, [\d.,]+\]/.test(lines),
        / to [\d.,]+<\/small>/.test(page),
        page.includes('class="interval"'),
      ];
    };
    expect(parts(5)).toEqual([true, true, true]);
    expect(parts(4)).toEqual([false, false, false]);
    const few = fakeResults(STRATEGY_FAKES, ['response'], 1, 4);
    expect(new Set(few.verdicts.map(({ outcome, why }) => `${outcome}: ${why}`))).toEqual(
      new Set(['undecided: 4 rounds; 5 are needed']),
    );
    expect(terminalReport(few).join('\n')).toContain('Fewer than five rounds give no verdict.');
    const five = terminalReport(fakeResults(STRATEGY_FAKES, ['response'], 1, 5)).join('\n');
    expect(five).toContain('five rounds: smallest to largest, 94 %');
    expectForm(Results, few);
  });

  it('keep a hostile name as text', () => {
    const html = htmlReport(withTarget(HOSTILE));
    expect(html).not.toContain('<script');
    expect(html).not.toContain('<img');
    expect(html).toContain('&lt;script&gt;');
    expect(html).not.toContain('\u001b');
  });
});

describe.skipIf(!hasChromium)('in Chromium', () => {
  it('loads without requests or errors, shows all curves and selectable text, and fits into 400 px', {
    timeout: 120_000,
  }, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'kecho-report-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const results = withTarget(HOSTILE);
    results.baseline = besideBaseline(results, fakeResults(STRATEGY_FAKES), `old ${HOSTILE}`);
    writeOutput(results, folder);
    const url = pathToFileURL(join(folder, 'report.html')).href;
    const page = await Page.start();
    for (const [width, scheme] of [
      [1400, 'light'],
      [400, 'dark'],
      [400, 'light'],
    ] as const) {
      await page.emulate(width, scheme);
      await page.open(url);
      expect(await page.value('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width);
      const paper = await page.value<string>('getComputedStyle(document.body).backgroundColor');
      expect(paper).toBe(scheme === 'dark' ? 'rgb(22, 24, 27)' : 'rgb(255, 255, 255)');
    }
    const external = page.requests.filter((request) => request !== url && !request.startsWith('data:'));
    expect(external).toEqual([]);
    expect(page.errors).toEqual([]);
    const curves = await page.value<number[]>(
      `[...document.querySelectorAll('figure:not([id*=timeline]) svg')].map((svg) => svg.querySelectorAll('.curve').length)`,
    );
    expect(curves).toEqual(Array.from({ length: 10 }, () => 4));
    const selected = await page.value<string>(
      `(getSelection().selectAllChildren(document.querySelector('figure svg')), getSelection().toString())`,
    );
    expect(selected).toContain('workqueue');
    expect(await page.value('document.scripts.length')).toBe(0);
    expect(
      await page.value(`[...document.querySelectorAll('*')].filter((e) => e.hasAttribute('onerror')).length`),
    ).toBe(0);
  });
});

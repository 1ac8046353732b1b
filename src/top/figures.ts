/**
 * The figures above the workers: connections and traffic, concurrency-management counters, latencies and CPU pools.
 * Pure. The counters have the names and order of the kernel's tools/workqueue/wq_monitor.py.
 */
import type { CpuPoolStats, ServerEvent, ServerStatus, WorklistStatus } from '../schema/status.ts';
import {
  bytes,
  count,
  cpuSeconds,
  fitting,
  type Line,
  line,
  rate,
  type Span,
  span,
  time,
  uptime,
} from '../terminal/text.ts';
import { type Frame, type Percentiles, poolCpuTimeMs, refusedTotal } from './frame.ts';

const STATE_STYLES = { listening: 'good', draining: 'warn', stopped: 'bad' } as const;

function styleOf(state: string) {
  return STATE_STYLES[state as keyof typeof STATE_STYLES] ?? 'plain';
}

/**
 * Three lines, and a fourth with a handler or hung items; the most important figures first. Those that do not fit the
 * width are omitted.
 */
export function header(frame: Frame, width: number): Line[] {
  const { status, rates } = frame;
  const { stats, process, limits, address } = status;
  const { active, queued, lingering, accepted } = stats.connections;
  const { residentBytes, descriptors } = process;
  const first = [
    span(stats.strategy, 'bold'),
    span(address === null ? 'no address' : addressText(address), 'plain'),
    span(stats.state, styleOf(stats.state)),
    ...plain([`up ${uptime(status.uptimeMs)}`, `pid ${status.pid}`]),
    ...plain([`kecho-pool ${status.version}`, `Node ${status.node}`]),
  ];
  const connections = plain([
    `connections ${count(active)} active`,
    `${count(queued)} queued`,
    ...(lingering === 0 ? [] : [`${count(lingering)} lingering`]),
    `${count(accepted)} accepted (${rate(rates.accepted)}/s)`,
    `${count(refusedTotal(status))} refused`,
    `of ${count(limits.maxConnections)}`,
  ]);
  const traffic = plain([
    `echoes ${rate(rates.echoes)}/s`,
    `in ${bytes(rates.bytesIn)}/s`,
    `out ${bytes(rates.bytesOut)}/s`,
    `CPU ${Math.round(frame.cpuPercent)} %`,
    ...(residentBytes === null ? [] : [`RSS ${bytes(residentBytes)}`]),
    `threads ${count(stats.threads.alive)}`,
    ...(descriptors === null ? [] : [`fds ${count(descriptors)}`]),
  ]);
  const work = [...hungPart(status), ...handlerPart(status, width)];
  const lines = [first, connections, traffic, ...(work.length === 0 ? [] : [work])];
  return lines.map((parts) => fitting(parts, width));
}

/** How many items hung, and what the last one was in. */
function hungPart({ stats, events }: ServerStatus): Span[] {
  const { hung } = stats.items;
  if (hung === 0) return [];
  const last = events.findLast(({ kind }) => kind === 'hang')?.detail;
  const which = last === undefined ? '' : `, the last: worker ${last.worker}${doing(last)}`;
  return [span(`${count(hung)} hung${which}`, 'bad')];
}

function doing({ in: call }: ServerEvent['detail']): string {
  if (call === undefined) return '';
  return call === 'running' ? ' running' : ` in ${call}`;
}

/** The handler as in the option; of a long path the end, which has the file and the export. */
function handlerPart({ handler }: ServerStatus, width: number): Span[] {
  if (handler === null) return [];
  const room = width - 'handler '.length;
  const text = handler.length <= room ? handler : `...${handler.slice(-Math.max(1, room - 3))}`;
  return plain([`handler ${text}`]);
}

function plain(texts: readonly string[]): Span[] {
  return texts.map((text) => span(text, 'plain'));
}

function addressText({ address, port }: { address: string; port: number }): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

const LABEL_WIDTH = 10;
const NONE = '-';

function columns(label: string, cells: readonly string[], widths: readonly number[]): string {
  return label.padEnd(LABEL_WIDTH) + cells.map((text, i) => text.padStart((widths[i] ?? 0) + 1)).join('');
}

const COUNTERS = ['total', 'infl', 'CPUtime', 'CPUitsv', 'CMW/RPR', 'noticed', 'mayday', 'rescued'];
const COUNTER_WIDTHS = [11, 6, 9, 7, 8, 8, 6, 7];

/** A count, in millions if it would be wider than its column. */
function fittingCount(value: number, column: number): string {
  const text = count(value);
  return text.length <= (COUNTER_WIDTHS[column] ?? 0) ? text : `${(value / 1e6).toFixed(1)}M`;
}

/** Work item counters; `-` where the strategy does not manage concurrency. */
export function counters({ status, rates }: Frame): Line[] {
  const { items, strategy } = status.stats;
  const managed = (text: string) => (strategy === 'cmwq' ? text : NONE);
  const infl = Math.max(0, items.started - items.completed);
  const { cpuIntensive, cmWakeup, noticed, mayday, rescued } = items;
  const totals = [cpuIntensive, cmWakeup, noticed, mayday, rescued].map((n, i) => fittingCount(n, i + 3));
  const cpuTime = cpuSeconds(poolCpuTimeMs(status));
  const each = [rates.cpuIntensive, rates.cmWakeup, rates.noticed, rates.mayday, rates.rescued].map(rate);
  return [
    [span(columns('', COUNTERS, COUNTER_WIDTHS), 'bold')],
    line(
      columns(
        'items',
        [fittingCount(items.started, 0), fittingCount(infl, 1), ...[cpuTime, ...totals].map(managed)],
        COUNTER_WIDTHS,
      ),
    ),
    line(
      columns(
        'per second',
        [rate(rates.items), NONE, ...[rates.cpuTime.toFixed(2), ...each].map(managed)],
        COUNTER_WIDTHS,
      ),
    ),
  ];
}

const LATENCIES = ['mean', 'p50 <=', 'p99 <=', 'max <=', 'samples'];
const LATENCY_WIDTHS = [9, 9, 9, 9, 9];

/** Latencies since the last frame, as upper bounds of histogram buckets, which double. */
export function latencies(frame: Frame): Line[] {
  const { dispatch, echo } = frame.latency;
  const over = frame.sinceStart ? 'since the start' : `last ${time(frame.elapsedMs / 1000)}`;
  return [
    line(span(columns('latency', LATENCIES, LATENCY_WIDTHS), 'bold'), span(`  ${over}`, 'dim')),
    latencyLine('dispatch', dispatch, frame.status.latency.dispatch.boundsSeconds),
    latencyLine('echo', echo, frame.status.latency.echo.boundsSeconds),
  ];
}

function latencyLine(label: string, figures: Percentiles, bounds: readonly number[]): Line {
  const { mean, p50, p99, max, samples } = figures;
  const beyond = `>${time(bounds.at(-1) ?? 0)}`;
  const texts = [mean, p50, p99, max].map((seconds) =>
    seconds === null ? NONE : Number.isFinite(seconds) ? time(seconds) : beyond,
  );
  return line(columns(label, [...texts, count(samples)], LATENCY_WIDTHS));
}

const POOL_TITLES = ['pool', 'slot', 'conns', 'waiting', 'nr_running', 'nr_active', 'CPUtime', 'in/out'];
const POOL_WIDTHS = [4, 5, 5, 9, 10, 9, 8, 9];
const POOL_WIDTH = POOL_WIDTHS.reduce((sum, width) => sum + width + 1, 0);
const POOL_GAP = 3;

function poolCells(cells: readonly string[]): string {
  return cells.map((text, i) => text.padStart((POOL_WIDTHS[i] ?? 0) + 1)).join('');
}

/** `3/45 ms`: three wait, the longest for 45 ms. */
function waitingText(worklist: WorklistStatus | undefined): string {
  if (worklist === undefined) return NONE;
  const { waiting, longestMs } = worklist;
  return waiting === 0 ? '0' : `${count(waiting)}/${time(longestMs / 1000)}`;
}

function poolText(stats: CpuPoolStats, worklist: WorklistStatus | undefined, pool: number): string {
  const { slot, connections, nrRunning, nrActive, cpuTimeMs, movedIn, movedOut } = stats;
  const holder = typeof slot === 'number' ? `#${slot}` : slot;
  const counts = [count(connections), waitingText(worklist), String(nrRunning), String(nrActive)];
  return poolCells([String(pool), holder, ...counts, cpuSeconds(cpuTimeMs), `${movedIn}/${movedOut}`]);
}

/** CPU pools, as many side by side as `width` allows, at most `maxRows` rows below the titles; empty without pools. */
export function cpuPools({ status }: Frame, width: number, maxRows: number): Line[] {
  const { cpuPools: pools } = status.stats;
  const worklists = status.worklists ?? [];
  if (pools.length === 0 || maxRows < 1) return [];
  const fit = Math.max(1, Math.floor((width + POOL_GAP) / (POOL_WIDTH + POOL_GAP)));
  const across = Math.min(fit, pools.length);
  const rows = Math.min(maxRows, Math.ceil(pools.length / across));
  const gap = ' '.repeat(POOL_GAP);
  const hidden = pools.length - rows * across;
  const more = hidden > 0 ? `  and ${hidden} more` : '';
  const titles = new Array<string>(across).fill(poolCells(POOL_TITLES)).join(gap);
  const lines = [line(span(titles, 'bold'), span(more, 'dim'))];
  for (let row = 0; row < rows; row++) {
    const shown = pools.slice(row * across, (row + 1) * across);
    const text = (pool: CpuPoolStats, i: number) => poolText(pool, worklists[i], i);
    lines.push(line(shown.map((pool, i) => text(pool, row * across + i)).join(gap)));
  }
  return lines;
}

// @ts-check
/**
 * The page: takes frames from the stream into the history, and draws the latest one.
 *
 * A frame is stored at once and drawn at the next animation frame; frames that arrive together are drawn once. The
 * stream is closed while the page is hidden or paused, so an unwatched page puts no load on the server.
 */
import { LineChart, StackChart } from './chart.js';
import { Dispatch } from './dispatch.js';
import { byId, setAttribute, setText, show } from './dom.js';
import { atMost, count, microseconds, rate, socketAddress, uptime } from './format.js';
import { History } from './history.js';
import { SlowMotion } from './slow-motion.js';
import { STATES } from './states.js';
import { Stream } from './stream.js';
import { Counters, Ends, EventList, Facts } from './tables.js';
import { WorkerCells } from './workers.js';

/** @typedef {import('./states.js').ServerStatus} ServerStatus */

const STRATEGY_WORDS = {
  kthread: 'a thread per connection',
  workqueue: 'a fixed set of workers',
  cmwq: 'concurrency-managed workqueue',
};

/** Announced to screen readers when the stream's state changes; the banner changes every second. */
const ANNOUNCEMENTS = {
  live: 'live',
  recorded: 'playing a recording',
  paused: 'paused',
  lost: 'connection to the server lost',
  refused: 'the server refuses to stream',
  connecting: '',
  hidden: '',
};

const SAMPLED =
  'Times are counted in buckets, each bound twice the previous one; figures and chart show the bound, so the true value is at most that, and more than half of it. ' +
  'Percentiles cover the samples of the last 5 s; 99 of 100 samples do not exceed p99, worst is the slowest sample.';

/** @returns {{ draw: (history: History, nowMs: number) => void }[]} */
function makeCharts() {
  const parent = byId('charts');
  const times = (/** @type {'echo' | 'dispatch'} */ latency) => [
    { series: /** @type {const} */ (`${latency}P50`), name: 'p50', look: 'c-green' },
    { series: /** @type {const} */ (`${latency}P99`), name: 'p99', look: 'c-orange dashed' },
    { series: /** @type {const} */ (`${latency}Worst`), name: 'worst', look: 'c-pink dotted' },
  ];
  return [
    new LineChart(parent, {
      id: 'echoes',
      title: 'Echoes',
      unit: 'per second',
      explanation:
        'Received buffers, each of which is sent back unless its handler fails. They are counted on receipt, before the handler, so an echo counts while its handler still sleeps; mean over the last second.',
      format: rate,
      lines: [{ series: 'echoes', name: 'now', look: 'c-green' }],
    }),
    new LineChart(parent, {
      id: 'echo-time',
      title: 'Echo latency',
      unit: 'p50',
      explanation: `From receiving a request until it is sent back, including the handler; up to a thousand echoes a second all are measured, beyond that one in 64. ${SAMPLED}`,
      format: microseconds,
      formatNow: atMost,
      scale: 'logarithmic',
      steps: true,
      lines: times('echo'),
    }),
    new LineChart(parent, {
      id: 'dispatch-time',
      title: 'Dispatch latency',
      unit: 'p50',
      explanation: `From accepting a connection until a worker starts on it; one in four is measured. ${SAMPLED}`,
      format: microseconds,
      formatNow: atMost,
      scale: 'logarithmic',
      steps: true,
      lines: times('dispatch'),
    }),
    new LineChart(parent, {
      id: 'connections',
      title: 'Connections',
      unit: 'open',
      explanation:
        'Open connections, including those that wait for a thread. Only kthread and workqueue have a queue; under cmwq connections wait in the worklist of their CPU pool.',
      format: (value) => (value === null ? '–' : count(value)),
      lines: [
        { series: 'connections', name: 'open', look: 'c-blue' },
        { series: 'queued', name: 'queued', look: 'c-orange dashed' },
      ],
    }),
    new StackChart(
      parent,
      {
        id: 'workers',
        title: 'Workers',
        unit: 'threads',
        explanation:
          'Workers by state, stacked in the colours and order of the legend above: idle is the grey area, busy are those below it. The line is nr_running, summed over the CPU pools. Means over the last second.',
      },
      STATES,
    ),
    new LineChart(parent, {
      id: 'cpu',
      title: 'CPU',
      unit: '% of one core',
      explanation: 'CPU time of the whole process, mean over the last second; 200 % is two fully used cores.',
      format: rate,
      lines: [{ series: 'cpuPercent', name: 'now', look: 'c-blue' }],
    }),
  ];
}

export class Dashboard {
  history = new History();
  paused = false;
  #stream = new Stream(
    (status, nowMs) => this.take(status, nowMs),
    () => this.#drawStream(),
  );
  /** @type {ServerStatus | null} */
  #latest = null;
  #isDue = false;
  #charts = makeCharts();
  #dispatch = new Dispatch();
  #workers = new WorkerCells();
  #slowMotion = new SlowMotion();
  #counters = new Counters();
  #ends = new Ends();
  #events = new EventList();
  #facts = new Facts();
  #head = {
    strategy: byId('strategy'),
    words: byId('strategy-words'),
    address: byId('address'),
    state: byId('state'),
    uptime: byId('uptime'),
    stream: byId('stream'),
    announced: byId('announced-stream'),
    pause: byId('pause'),
    banner: byId('banner'),
    bannerTitle: byId('banner-title'),
    bannerText: byId('banner-text'),
  };

  start() {
    this.#head.pause.addEventListener('click', () => this.togglePause());
    document.addEventListener('keydown', (event) => this.#onKey(event));
    document.addEventListener('visibilitychange', () => this.#openOrClose());
    setInterval(() => this.#drawStream(), 1000);
    this.#openOrClose();
  }

  /** Stores a frame, and draws it at the next animation frame. @param {ServerStatus} status @param {number} nowMs this page's monotonic clock */
  take(status, nowMs) {
    this.history.take(status, nowMs);
    this.#latest = status;
    if (this.#isDue) return;
    this.#isDue = true;
    requestAnimationFrame(() => {
      if (this.#isDue) this.draw();
    });
  }

  /** Draws the latest frame now. */
  draw() {
    this.#isDue = false;
    const status = this.#latest;
    if (status === null) return;
    const { nowMs } = this.history;
    this.#drawHead(status);
    this.#dispatch.draw(status, this.history);
    this.#workers.draw(status, this.history.workersNow, nowMs);
    this.#slowMotion.draw(status.stats.strategy);
    for (const chart of this.#charts) chart.draw(this.history, nowMs);
    this.#counters.draw(status, this.history);
    this.#ends.draw(status);
    this.#events.draw(status, nowMs);
    this.#facts.draw(status);
  }

  togglePause() {
    this.paused = !this.paused;
    setText(this.#head.pause, this.paused ? 'Resume' : 'Pause');
    this.#openOrClose();
  }

  #openOrClose() {
    if (this.paused || document.hidden) this.#stream.close();
    else this.#stream.open();
    this.#drawStream();
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || event.repeat) return;
    const onControl =
      event.target instanceof Element && event.target.closest('button, summary, [tabindex]') !== null;
    if (event.key !== 'p' && (event.key !== ' ' || onControl)) return;
    event.preventDefault();
    this.togglePause();
  }

  /** @param {ServerStatus} status */
  #drawHead({ stats, address, uptimeMs }) {
    const { strategy, words, address: at, state, uptime: up } = this.#head;
    const where = address === null ? 'not listening' : socketAddress(address);
    setText(strategy, stats.strategy);
    setText(words, STRATEGY_WORDS[stats.strategy] ?? '');
    setText(at, where);
    setText(up, uptime(uptimeMs));
    setText(state, stats.state);
    setAttribute(state, 'data-state', stats.state);
    const title = `${stats.strategy} ${where}: kecho-pool`;
    if (document.title !== title) document.title = title;
  }

  /** The state of the stream; called every second too, for the seconds in the banner. */
  #drawStream() {
    const { stream, announced, banner, bannerTitle, bannerText, state } = this.#head;
    const { state: streamState, lastFrameMs } = this.#stream;
    const shown = this.paused ? 'paused' : streamState === 'closed' ? 'hidden' : streamState;
    setText(stream, shown);
    setAttribute(stream, 'data-stream', shown);
    setText(announced, ANNOUNCEMENTS[shown]);
    const isLost = shown === 'lost' || shown === 'refused';
    document.body.classList.toggle('stale', isLost || shown === 'paused');
    show(banner, isLost || shown === 'paused');
    if (shown === 'paused') {
      setText(bannerTitle, 'Paused');
      setText(bannerText, 'The page shows the last frame. The server keeps running.');
    } else if (isLost) {
      const seconds = Math.round((performance.now() - lastFrameMs) / 1000);
      setText(bannerTitle, shown === 'lost' ? 'Server lost' : 'The server refuses to stream');
      const since =
        lastFrameMs === 0
          ? 'No frame received yet.'
          : `Last frame ${seconds} s ago; the server was ${this.#latest?.stats.state}.`;
      const why = shown === 'lost' ? '' : ' There may be too many clients.';
      setText(bannerText, `${since}${why} Reconnecting.`);
      setText(state, 'lost');
      setAttribute(state, 'data-state', 'lost');
    }
  }
}

/** The page's one dashboard. */
export const dashboard = new Dashboard();
dashboard.start();

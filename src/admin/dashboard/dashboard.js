// @ts-check
/**
 * The page: frames come in from the stream, go into the history, and the latest one is drawn.
 *
 * A frame is taken at once and drawn with the next animation frame; several that come together make one picture. The
 * stream is closed while the page is hidden or paused, so nothing is asked of a server that nobody looks at.
 */
import { LineChart, StackChart } from './chart.js';
import { Dispatch } from './dispatch.js';
import { byId, setAttribute, setText, show } from './dom.js';
import { count, microseconds, rate, socketAddress, uptime } from './format.js';
import { History } from './history.js';
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

/** What a listener to the page is told when the stream changes; the banner, with its running seconds, would be too much. */
const TOLD = {
  live: 'live',
  paused: 'paused',
  lost: 'the server is lost',
  refused: 'the server refuses to stream',
  connecting: '',
  hidden: '',
};

const SAMPLED =
  'Each time falls into a bucket whose bound is twice the one before; shown is the bound, so the true value is at most that. ' +
  'Percentiles are of the samples of the last 5 s; p99 is what 99 of 100 samples did not exceed, worst is the slowest sample.';

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
      explanation: 'Received buffers that were sent back, a mean over the last second.',
      format: rate,
      lines: [{ series: 'echoes', name: 'now', look: 'c-green' }],
    }),
    new LineChart(parent, {
      id: 'echo-time',
      title: 'Time of an echo',
      unit: 'p50',
      explanation: `From a request received until it is sent back, the handler included; one echo in 64 is measured. ${SAMPLED}`,
      format: microseconds,
      scale: 'logarithmic',
      steps: true,
      lines: times('echo'),
    }),
    new LineChart(parent, {
      id: 'dispatch-time',
      title: 'Wait for a worker',
      unit: 'p50',
      explanation: `From the accept of a connection until a worker begins with it; one in four is measured. ${SAMPLED}`,
      format: microseconds,
      scale: 'logarithmic',
      steps: true,
      lines: times('dispatch'),
    }),
    new LineChart(parent, {
      id: 'connections',
      title: 'Connections',
      unit: 'open',
      explanation:
        'Open connections, those that wait for a thread included. Only kthread and workqueue have a queue; under cmwq connections wait in the worklist of their CPU pool.',
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
          'Workers by state, on top of each other in the colours and the order of the legend above; the line is nr_running, the sum over the CPU pools. Means over the last second.',
      },
      STATES,
    ),
    new LineChart(parent, {
      id: 'cpu',
      title: 'Processor',
      unit: '% of one core',
      explanation:
        'Processor time of the whole process, a mean over the last second; 200 % are two cores in full.',
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
    told: byId('told-stream'),
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

  /** Takes a frame, to be drawn soon. @param {ServerStatus} status @param {number} nowMs this page's monotonic clock */
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

  /** What is known of the connection to the server; also once a second, for the time since. */
  #drawStream() {
    const { stream, told, banner, bannerTitle, bannerText, state } = this.#head;
    const { state: streamState, lastFrameMs } = this.#stream;
    const shown = this.paused ? 'paused' : streamState === 'closed' ? 'hidden' : streamState;
    setText(stream, shown);
    setAttribute(stream, 'data-stream', shown);
    setText(told, TOLD[shown]);
    const isLost = shown === 'lost' || shown === 'refused';
    document.body.classList.toggle('stale', isLost || shown === 'paused');
    show(banner, isLost || shown === 'paused');
    if (shown === 'paused') {
      setText(bannerTitle, 'Paused');
      setText(bannerText, 'The picture is the last one. The server goes on.');
    } else if (isLost) {
      const seconds = Math.round((performance.now() - lastFrameMs) / 1000);
      setText(bannerTitle, shown === 'lost' ? 'Server lost' : 'The server refuses to stream');
      const since =
        lastFrameMs === 0
          ? 'Nothing was received yet.'
          : `Last heard of ${seconds} s ago, then ${this.#latest?.stats.state}; the picture is from then.`;
      const why = shown === 'lost' ? '' : ' Perhaps too many pages are open.';
      setText(bannerText, `${since}${why} Trying again.`);
      setText(state, 'lost');
      setAttribute(state, 'data-state', 'lost');
    }
  }
}

/** The page's one dashboard. */
export const dashboard = new Dashboard();
dashboard.start();

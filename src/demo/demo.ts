/**
 * `kecho-pool demo`: shows the strategies at work, for lectures.
 *
 * Main thread only. Runs an echo server, the dashboard and a light load in this process until q, Ctrl-C, SIGINT,
 * SIGTERM, SIGHUP or the time limit. Listens on loopback only, unless --admin is another address.
 */
import type { HandlerOptions } from '../options/index.ts';
import { STRATEGIES, type StrategyName } from '../options/types.ts';
import { monotonicMs } from '../sys/clock.ts';
import { Ending } from '../terminal/ending.ts';
import { canDraw, Screen, wantsColours } from '../terminal/screen.ts';
import { Crowd } from './crowd.ts';
import { type StrategyFigures, Window } from './figures.ts';
import { Recorder } from './recorder.ts';
import { Stage } from './stage.ts';
import {
  type DemoState,
  introduction,
  screenLines,
  summary,
  TABLE_HEAD,
  tableRow,
  watchFor,
} from './view.ts';

export interface DemoOptions {
  strategy: StrategyName;
  /** In the format of the server's --admin. */
  admin: string;
  clients: number;
  minutes: number;
  /** File for a recording. */
  record: string | undefined;
  /** The operator's handler, if any, in place of the demo's own. */
  handler: HandlerOptions;
}

const SCREEN_INTERVAL_MS = 500;
const LINE_INTERVAL_MS = 10_000;
/** How long requests in progress may take after a hold: longer than workqueue needs for its whole queue. */
const HOLD_MS = 4000;

class Demo {
  private readonly stage: Stage;
  private readonly crowd: Crowd;
  private readonly ending: Ending;
  private readonly window: Window;
  private readonly endMs: number;
  private readonly figures = new Map<StrategyName, StrategyFigures>();
  private loadOn = true;
  private notice: string | null = null;
  /** The switch in progress; null without one. A failed one ends the demo. */
  private switching: Promise<void> | null = null;
  private failure: unknown = null;

  constructor(stage: Stage, ending: Ending, { clients, minutes }: DemoOptions) {
    this.stage = stage;
    this.ending = ending;
    this.window = new Window();
    this.crowd = new Crowd(stage.port, clients, this.window);
    this.endMs = monotonicMs() + minutes * 60_000;
  }

  async onScreen(): Promise<void> {
    const draw = () => {
      const { columns, rows } = screen.size;
      screen.draw(screenLines(this.state, columns, rows));
    };
    const screen = new Screen(process.stdout, process.stdin, wantsColours(process.env), {
      onKey: (key) => {
        this.onKey(key);
        draw();
      },
      onResize: draw,
    });
    screen.enter();
    try {
      await this.untilEnd(SCREEN_INTERVAL_MS, draw);
    } finally {
      screen.leave();
    }
    process.stdout.write(`${summary(this.state)}\n`);
  }

  async inLines(): Promise<void> {
    const { strategy } = this.stage;
    const lines = [...introduction(this.stage), '', `${strategy}:`, ...watchFor(strategy), '', TABLE_HEAD];
    process.stdout.write(`${lines.join('\n')}\n`);
    let isFirst = true;
    await this.untilEnd(LINE_INTERVAL_MS, () => {
      if (!isFirst) process.stdout.write(`${tableRow(strategy, this.figures.get(strategy))}\n`);
      isFirst = false;
    });
  }

  async close(): Promise<void> {
    await this.switching;
    await this.crowd.close();
    if (this.failure !== null) throw this.failure;
  }

  private async untilEnd(intervalMs: number, show: () => void): Promise<void> {
    while (!this.ending.isOver && monotonicMs() < this.endMs) {
      this.measure();
      show();
      await this.ending.pause(Math.min(intervalMs, Math.max(0, this.endMs - monotonicMs())));
    }
  }

  private get state(): DemoState {
    const { stage, crowd, figures, loadOn, notice } = this;
    const { url, port, strategy, handlerName } = stage;
    const leftMs = Math.max(0, this.endMs - monotonicMs());
    return { url, port, strategy, handlerName, figures, clients: crowd.size, loadOn, notice, leftMs };
  }

  private measure(): void {
    if (this.switching !== null || !this.loadOn) return; // the last figures stay
    const { crowd, stage } = this;
    this.figures.set(stage.strategy, this.window.figures(crowd.size, crowd.oldestMs, stage.status()));
  }

  private onKey(key: string): void {
    if (key === 'q' || key === 'quit') this.ending.end();
    else if (key === '+' || key === '=') this.crowd.size++;
    else if (key === '-') this.crowd.size--;
    else if (key === 'space') this.toggleLoad();
    else if (/^[123]$/.test(key)) this.switchTo(STRATEGIES[Number(key) - 1] as StrategyName); // 1 to 3
  }

  private toggleLoad(): void {
    if (this.switching !== null) return;
    this.loadOn = !this.loadOn;
    this.window.clear();
    if (this.loadOn) this.crowd.release();
    else void this.crowd.hold(HOLD_MS);
  }

  private switchTo(strategy: StrategyName): void {
    if (this.switching !== null || strategy === this.stage.strategy) return;
    this.switching = this.doSwitch(strategy)
      .catch((error: unknown) => {
        this.failure = error;
        this.ending.end();
      })
      .finally(() => {
        this.switching = null;
        this.notice = null;
      });
  }

  private async doSwitch(strategy: StrategyName): Promise<void> {
    this.notice = `stopping; then ${strategy}`;
    await this.crowd.hold(HOLD_MS);
    if (this.ending.isOver) return;
    await this.stage.switchTo(strategy);
    this.window.clear();
    if (this.loadOn) this.crowd.release();
  }
}

/** Resolves when the demo has ended. Throws CannotListen when the dashboard cannot listen, CannotRecord. */
export async function runDemo(options: DemoOptions): Promise<void> {
  const ending = new Ending();
  const stage = new Stage(options.strategy, options.admin, options.handler);
  try {
    await stage.open();
    const recorder = options.record === undefined ? null : new Recorder(options.record, stage);
    const demo = new Demo(stage, ending, options);
    try {
      if (canDraw(process.stdout, process.env)) await demo.onScreen();
      else await demo.inLines();
    } finally {
      await demo.close();
      if (recorder !== null) process.stdout.write(`${recorder.close()}\n`);
    }
  } finally {
    await stage.close();
    ending.close();
  }
}

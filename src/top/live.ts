/**
 * `top` on the whole terminal: polls the server and handles the keys.
 *
 * Main thread only. Owns the screen until q, Ctrl-C, SIGINT, SIGTERM or SIGHUP. When the server is lost, the last
 * figures stay, the bar shows why, and polling continues.
 */
import { Ending } from '../terminal/ending.ts';
import { Screen, wantsColours } from '../terminal/screen.ts';
import { type Frame, frameOf } from './frame.ts';
import { StatusClient, Unreachable } from './status-client.ts';
import type { TopOptions } from './top-options.ts';
import { type View, type ViewState, viewOf } from './view.ts';
import { BY_ITEMS_PER_SECOND, nextColumn } from './workers-table.ts';

/** Maximum interval between attempts to reach a lost server. */
const LOST_INTERVAL_MS = 2000;

/** Lines to scroll by; viewOf() limits the result. Null for other keys. */
function scrollBy(key: string, page: number): number | null {
  const steps: Record<string, number> = {
    up: -1,
    down: 1,
    pageup: -page,
    pagedown: page,
    home: Number.NEGATIVE_INFINITY,
    end: Number.POSITIVE_INFINITY,
  };
  return steps[key] ?? null;
}

/** The state after a key. */
export function afterKey(state: ViewState, key: string, page: number): ViewState {
  const step = scrollBy(key, page);
  if (step !== null) return { ...state, scroll: Math.max(0, state.scroll + step) };
  switch (key) {
    case 's':
      return { ...state, order: nextColumn(state.order) };
    case 'r':
      return { ...state, order: { ...state.order, reversed: !state.order.reversed } };
    case 'p':
      return { ...state, paused: !state.paused };
    case '?':
    case 'h':
      return { ...state, help: !state.help };
    case 'escape':
      return { ...state, help: false };
    default:
      return state;
  }
}

class Live {
  private readonly options: TopOptions;
  private readonly ending: Ending;
  private readonly client: StatusClient;
  private readonly screen: Screen;
  private state: ViewState = { order: BY_ITEMS_PER_SECOND, scroll: 0, paused: false, help: false };
  private frame: Frame | null = null;
  private lost: string | null = null;
  private page = 1;

  constructor(options: TopOptions, ending: Ending) {
    this.options = options;
    this.ending = ending;
    this.client = new StatusClient(options.address, options.addressText);
    this.screen = new Screen(process.stdout, process.stdin, wantsColours(process.env), {
      onKey: (key) => this.onKey(key),
      onResize: () => this.draw(),
    });
  }

  async run(): Promise<void> {
    this.screen.enter();
    try {
      this.draw();
      while (!this.ending.isOver) {
        const startMs = performance.now();
        if (!this.state.paused) await this.poll();
        if (this.ending.isOver) return;
        this.draw();
        const { intervalMs } = this.options;
        const untilNextMs = this.lost === null ? intervalMs : Math.min(intervalMs, LOST_INTERVAL_MS);
        await this.ending.pause(Math.max(0, startMs + untilNextMs - performance.now()));
      }
    } finally {
      this.screen.leave();
      this.client.close();
    }
  }

  private async poll(): Promise<void> {
    try {
      const status = await this.client.status(this.ending.signal);
      if (this.state.paused) return; // paused during the request
      this.frame = frameOf(status, this.frame?.status ?? null);
      this.lost = null;
    } catch (error) {
      if (!(error instanceof Unreachable)) throw error;
      this.lost = error.message; // not shown while paused: it does not retry then
    }
  }

  private onKey(key: string): void {
    if (key === 'q' || key === 'quit') {
      this.ending.end();
      return;
    }
    this.state = afterKey(this.state, key, this.page);
    this.draw();
  }

  private draw(): void {
    const { addressText, intervalMs } = this.options;
    const situation = { addressText, intervalMs, lost: this.lost };
    const view: View = viewOf(this.frame, this.state, this.screen.size, situation);
    this.page = view.page;
    this.state = { ...this.state, scroll: view.scroll };
    this.screen.draw(view.lines);
  }
}

export async function live(options: TopOptions): Promise<void> {
  const ending = new Ending();
  try {
    await new Live(options, ending).run();
  } finally {
    ending.close();
  }
}

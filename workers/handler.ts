/**
 * Loads the operator's handler module and runs it before each echo.
 *
 * Runs in a worker, or in the thread that tries the module before the server listens (probe.ts). It owns nothing; the
 * handler gets copies of the bytes. The module is loaded by require(), which is synchronous: an entry must not await.
 */
import { statSync } from 'node:fs';
import { createRequire, registerHooks } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { inspect } from 'node:util';
import type { Handler } from '../src/handler.ts';
import type { Outcome } from '../src/memory/completions.ts';
import {
  CloseReason,
  CONN_ECHOES,
  CONN_ID,
  HANDLER_FAILED,
  type HandlerSpec,
  type SharedState,
} from '../src/memory/layout.ts';
import { monotonicMs } from '../src/sys/clock.ts';

/** From dist `import.meta` is what the build defines: see `build:workers` in package.json. */
const EXTENSION = import.meta.filename.endsWith('.ts') ? 'ts' : 'js';
const HANDLER_MODULE = join(import.meta.dirname, `../src/handler.${EXTENSION}`);

/** Between two reports of a thread; the close reasons count every error. */
const REPORT_INTERVAL_MS = 1000;
/** Longest text of an error, in characters: the handler may throw anything. */
const ERROR_MAX = 8192;

export interface LoadedHandler {
  handle: Handler;
  /** Called when the thread ends in order. */
  tearDown: () => void;
}

/** Where a thread keeps its handler's failure: Piscina loads a CommonJS entry that has failed (dist) a second time. */
const threadWide = globalThis as { kechoPoolHandlerFailure?: Error };

/** Loads the module and calls its `setUp`. Throws an Error with HANDLER_FAILED that says why it cannot be used. */
export function startHandler(spec: HandlerSpec): LoadedHandler {
  if (threadWide.kechoPoolHandlerFailure !== undefined) throw threadWide.kechoPoolHandlerFailure;
  try {
    const exported = exportsOf(spec.path);
    const handle = handlerAmong(exported, spec.exportName);
    optional(exported, 'setUp')();
    return { handle, tearDown: optional(exported, 'tearDown') };
  } catch (error) {
    threadWide.kechoPoolHandlerFailure = new Error(messageOf(error), { cause: error });
    throw Object.assign(threadWide.kechoPoolHandlerFailure, { code: HANDLER_FAILED });
  }
}

function exportsOf(path: string): Record<string, unknown> {
  if (statSync(path, { throwIfNoEntry: false })?.isFile() !== true) throw new Error('no such file');
  provideHandlerModule();
  try {
    const loaded: unknown = createRequire(path)(path);
    // `module.exports = function` of a CommonJS module is its default export.
    return typeof loaded === 'function' ? { ...loaded, default: loaded } : { ...(loaded as object) };
  } catch (error) {
    if ((error as NodeJS.ErrnoException | null)?.code === 'ERR_REQUIRE_ASYNC_MODULE')
      throw new Error('it uses top-level await, but handlers are loaded synchronously');
    throw new Error(`it cannot be loaded: ${messageOf(error)}${locationOf(error)}`, { cause: error });
  }
}

/**
 * Where a syntax error is, " (work.ts:3:21)", as far as Node tells: in front of its stack, `/home/work.ts:3`, two lines
 * of code and carets below the place. For ECMAScript modules in JavaScript it does not (Node 26).
 */
function locationOf(error: unknown): string {
  const stack = error instanceof SyntaxError ? (error.stack ?? '') : '';
  const [, file, line] = /^(?:file:\/\/)?\/(?:.*\/)?([^/\n]+):(\d+)\n/.exec(stack) ?? [];
  if (file === undefined) return '';
  const indent = /^([ \t]*)\^+$/m.exec(stack)?.[1];
  const column = indent === undefined ? '' : `:${indent.length + 1}`;
  return ` (${file}:${line}${column})`;
}

/** Lets the module import `kecho-pool/handler` wherever it lies, also where this package is not installed. */
function provideHandlerModule(): void {
  registerHooks({
    resolve: (specifier, context, next) =>
      specifier === 'kecho-pool/handler'
        ? { url: pathToFileURL(HANDLER_MODULE).href, shortCircuit: true }
        : next(specifier, context),
  });
}

function handlerAmong(exported: Record<string, unknown>, name: string): Handler {
  const found = exported[name];
  if (typeof found !== 'function') {
    const functions = Object.keys(exported).filter(
      (key) => typeof exported[key] === 'function' && key !== 'setUp' && key !== 'tearDown',
    );
    const what = found === undefined ? `no export "${name}"` : `its export "${name}" is not a function`;
    throw new Error(`${what}; it exports the functions: ${functions.join(', ') || 'none'}`);
  }
  if (found.constructor.name !== 'Function') {
    const kind = found.constructor.name === 'AsyncFunction' ? 'an async' : 'a generator';
    throw new Error(
      `its export "${name}" is ${kind} function, but handlers are plain, synchronous functions`,
    );
  }
  return found as Handler;
}

/** An optional function of the module. Its errors name it. */
function optional(exported: Record<string, unknown>, name: 'setUp' | 'tearDown'): () => void {
  const found = exported[name];
  if (found === undefined) return () => {};
  if (typeof found !== 'function') throw new Error(`its export "${name}" is not a function`);
  return () => {
    try {
      refusePromise(found(), name);
    } catch (error) {
      throw new Error(`${name}: ${messageOf(error)}`, { cause: error });
    }
  };
}

/** Throws when a function of the module has returned a promise, which the thread could not wait for. */
function refusePromise(result: unknown, name: string): void {
  if (typeof (result as PromiseLike<unknown> | null | undefined)?.then !== 'function') return;
  Promise.resolve(result).catch(() => {}); // its rejection would end the thread
  throw new TypeError(`${name} must be synchronous, but returned a promise`);
}

/** The message of an error, or whatever else was thrown, on one line. */
export function messageOf(error: unknown): string {
  const text = error instanceof Error ? `${nameOf(error)}${error.message}` : `threw ${textOf(error)}`;
  return text.split('\n', 1)[0] as string; // split returns at least one
}

function nameOf({ name }: Error): string {
  return name === 'Error' ? '' : `${name}: `;
}

/** Any thrown value, an error with its stack. */
function textOf(error: unknown): string {
  try {
    return inspect(error).slice(0, ERROR_MAX);
  } catch {
    return 'a value that cannot be shown';
  }
}

/** The handler of a worker, which has an id. */
export class HandlerRunner {
  private readonly shared: SharedState;
  private readonly worker: number;
  private readonly handler: LoadedHandler;
  private readonly post: (message: object) => void;
  private readonly takesBytes: boolean;
  private reportedMs = Number.NEGATIVE_INFINITY;

  constructor(shared: SharedState, worker: number, handler: LoadedHandler, post: (message: object) => void) {
    this.shared = shared;
    this.worker = worker;
    this.handler = handler;
    this.post = post;
    this.takesBytes = handler.handle.length > 0;
  }

  /** Runs the handler with the first `length` bytes of `buffer`. */
  handle(fd: number, buffer: Uint8Array, length: number): Outcome {
    try {
      refusePromise(this.call(fd, buffer, length), 'a handler');
      return CloseReason.Open;
    } catch (error) {
      this.report(error, this.connectionDouble(fd, CONN_ID));
      return CloseReason.HandlerError;
    }
  }

  private call(fd: number, buffer: Uint8Array, length: number): unknown {
    const { handle } = this.handler;
    if (!this.takesBytes) return (handle as () => void)();
    const connection = {
      id: this.connectionDouble(fd, CONN_ID),
      requests: this.connectionDouble(fd, CONN_ECHOES),
    };
    return handle(buffer.slice(0, length), connection);
  }

  private connectionDouble(fd: number, double: number): number {
    return this.shared.connDoubles[this.shared.connDouble(fd, double)] as number;
  }

  /** Calls `tearDown`; the thread ends. */
  tearDown(): void {
    try {
      this.handler.tearDown();
    } catch (error) {
      this.reportedMs = Number.NEGATIVE_INFINITY;
      this.report(error, null);
    }
  }

  /** Posts an error to main (src/server/handler-errors.ts). `connection`: null if it was not in a request. */
  private report(error: unknown, connection: number | null): void {
    const nowMs = monotonicMs();
    if (nowMs - this.reportedMs < REPORT_INTERVAL_MS) return;
    this.reportedMs = nowMs;
    this.post({ handlerError: { worker: this.worker, connection, error: textOf(error) } });
  }
}

/**
 * The flags `--handler` and `--handler-heap` of tools that start servers, and the check of their values.
 */
import {
  type HandlerOptions,
  type OptionSpec,
  parseOption,
  resolveOptions,
  specOf,
  UsageError,
} from '../options/index.ts';
import { checkOption } from '../options/values.ts';
import { EchoServer } from '../server/server.ts';
import { flag, type ValuesOf } from './flags.ts';

const HANDLER = specOf('handler');
const HEAP = specOf('handlerHeapBytes');

function parserOf<T>(spec: OptionSpec): (text: string, source: string) => T {
  return (text, source) => checkOption(spec, parseOption(spec, text, source), source) as T; // its kind's type
}

export const HANDLER_FLAGS = {
  handler: flag(`--${HANDLER.flag} <file>`, HANDLER.help, parserOf<string>(HANDLER)),
  handlerHeapBytes: flag(`--${HEAP.flag} <size>`, HEAP.help, parserOf<number>(HEAP)),
};

/** The given ones. Throws UsageError for a heap limit without a handler. */
export function handlerOptions({
  handler,
  handlerHeapBytes,
}: ValuesOf<typeof HANDLER_FLAGS>): HandlerOptions {
  const options: HandlerOptions = {};
  if (handler !== undefined) options.handler = handler;
  if (handlerHeapBytes !== undefined) options.handlerHeapBytes = handlerHeapBytes;
  resolveOptions(options, ({ flag: name }) => `--${name}`);
  return options;
}

/** Tries the handler. Rejects with UsageError if it cannot be used. */
export async function checkHandler(options: HandlerOptions): Promise<void> {
  try {
    await new EchoServer({ ...options, logLevel: 'silent' }).checkHandler();
  } catch (error) {
    if (error instanceof UsageError)
      throw new UsageError(`--${HANDLER.flag}`, options.handler, error.allowed);
    throw error;
  }
}

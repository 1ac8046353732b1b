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
import { flag } from './flags.ts';

const HANDLER = specOf('handler');
const HEAP = specOf('handlerHeapBytes');

function parserOf<T>(spec: OptionSpec): (text: string, source: string) => T {
  return (text, source) => checkOption(spec, parseOption(spec, text, source), source) as T; // its kind's type
}

export const HANDLER_FLAGS = {
  handler: flag(`--${HANDLER.flag} <file>`, HANDLER.help, parserOf<string>(HANDLER)),
  handlerHeapBytes: flag(`--${HEAP.flag} <size>`, HEAP.help, parserOf<number>(HEAP)),
};

/** The given ones, after a try of the handler. Rejects with UsageError if it cannot be used. */
export async function checkedHandler(given: {
  handler: string | undefined;
  handlerHeapBytes: number | undefined;
}): Promise<HandlerOptions> {
  const options: HandlerOptions = {};
  if (given.handler !== undefined) options.handler = given.handler;
  if (given.handlerHeapBytes !== undefined) options.handlerHeapBytes = given.handlerHeapBytes;
  resolveOptions(options, ({ flag: name }) => `--${name}`);
  try {
    await new EchoServer({ ...options, logLevel: 'silent' }).checkHandler();
  } catch (error) {
    if (error instanceof UsageError) throw new UsageError(`--${HANDLER.flag}`, given.handler, error.allowed);
    throw error;
  }
  return options;
}

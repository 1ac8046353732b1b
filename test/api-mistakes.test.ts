/**
 * Goal: a wrong call of the API fails at once, with one line that names the option as the API does, the value, and what
 * is allowed.
 * Method: one wrong call after another, on servers that never listen.
 */
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { createAdmin } from '../src/admin/index.ts';
import { createEchoServer, type EchoServer, STRATEGIES, UsageError } from '../src/index.ts';
import { OPTION_SPECS } from '../src/options/index.ts';
import { usageError } from './support/option-checks.ts';

const create = createEchoServer as (options: unknown) => unknown;
const admin = createAdmin as (server: unknown, options?: unknown) => unknown;

function server() {
  return createEchoServer({ port: 0, logLevel: 'silent' });
}

describe('createEchoServer', () => {
  it.each([
    [null, 'null'],
    [5, '5'],
    ['cmwq', '"cmwq"'],
    [[], 'an array of 0 values'],
    [() => 1, 'a function'],
  ])('refuses %j instead of options', (options, shown) => {
    const { option, message } = usageError(() => create(options));
    expect(option).toBe('options');
    expect(message).toMatch(/^options: .* is not allowed: an object of options$/);
    expect(message).toContain(shown);
  });

  it.each([null, 5, 'info', {}, console])('refuses a logger that is not a pino logger: %j', (logger) => {
    const { option, message } = usageError(() => create({ logger }));
    expect(option).toBe('logger');
    expect(message).toMatch(/^logger: [^\n]* is not allowed: a pino logger: [^\n]*isLevelEnabled$/);
  });

  it('accepts a pino logger and its children', () => {
    const logger = pino({ level: 'silent' });
    for (const each of [logger, logger.child({ name: 'echo' })]) createEchoServer({ port: 0, logger: each });
  });

  it('has a type for the options of each strategy', () => {
    createEchoServer({ strategy: 'workqueue', workers: 2 });
    createEchoServer({ strategy: 'kthread', maxWorkers: 10, maxQueue: 10 });
    createEchoServer({ cpus: 1 });
    for (const strategy of STRATEGIES) createEchoServer({ strategy, port: 0 });
  });

  const unnamed = { workers: 2 };
  it.each([
    // @ts-expect-error
    () => createEchoServer({ strategy: 'cmwq', workers: 2 }),
    // @ts-expect-error: without a strategy it is cmwq
    () => createEchoServer({ workers: 2 }),
    // @ts-expect-error
    () => createEchoServer(unnamed),
    // @ts-expect-error
    () => createEchoServer({ strategy: 'workqueue', maxWorkers: 2 }),
    // @ts-expect-error
    () => createEchoServer({ strategy: 'workqueue', workers: 2, maxActive: 2 }),
    // @ts-expect-error
    () => createEchoServer({ strategy: 'kthread', cpus: 1 }),
    // @ts-expect-error
    () => createEchoServer({ maxQueue: 10 }),
  ])('refuses options of another strategy, as its types do: %s', (call) => {
    expect(usageError(call).allowed).toMatch(/^only with strategy /);
  });

  it.each([{}, { logLevel: undefined }, { pretty: true }])('is silent with %j', (options) => {
    expect((create(options) as EchoServer).options.logLevel).toBe('silent');
    expect(createEchoServer({ logLevel: 'warn' }).options.logLevel).toBe('warn');
  });

  it('never names an option by its flag', () => {
    for (const spec of OPTION_SPECS) {
      for (const value of [null, -1, 'no such value', spec.kind.type === 'boolean' ? true : 5]) {
        for (const strategy of STRATEGIES) {
          let message = '';
          try {
            create({ logLevel: 'silent', strategy, [spec.key]: value });
          } catch (error) {
            expect(error).toBeInstanceOf(UsageError);
            ({ message } = error as UsageError);
            expect(message).toMatch(new RegExp(`^${spec.key}: [^\n]* is not allowed: [^\n]+$`));
          }
          expect(message).not.toContain('--');
        }
      }
    }
  });
});

describe('createAdmin', () => {
  it.each([
    [{ listen: 9090 }, /^listen: 9090 is not allowed: a port like 9090, /],
    [{ listen: 'x y' }, /^listen: "x y" is not allowed: a port like 9090, /],
    [{ listen: null }, /^listen: null is not allowed: a port like 9090, /],
    [{ port: 9090 }, /^port: 9090 is not allowed: one of the options listen, logger$/],
    [{ logger: {} }, /^logger: an object is not allowed: a logger like pino: .* info, warn, error$/],
    [null, /^options: null is not allowed: an object of options$/],
  ])('refuses %j', (options, message) => {
    expect(usageError(() => admin(server(), options)).message).toMatch(message);
  });

  it.each([null, undefined, {}, 'server'])('refuses %j instead of a server', (wrong) => {
    expect(usageError(() => admin(wrong)).message).toMatch(/^server: .* is not allowed: an EchoServer: /);
  });
});

describe('listen({ fd })', () => {
  it.each(['3', null, 1.5, -1, Number.NaN, 2 ** 40, {}, 1_000_000, new Array(500).fill(7)])(
    '%#',
    async (fd) => {
      const rejection = server().listen({ fd: fd as number });
      await expect(rejection).rejects.toThrow(TypeError);
      await expect(rejection).rejects.toThrow(
        /^descriptor .{1,85} is not a listening TCP socket(: it is .+)?$/,
      );
    },
  );
});

describe('a server', () => {
  const close = (options: unknown) => () => (server().close as (options: unknown) => unknown)(options);

  it.each([
    [close({ drain: 5 }), /^drain: 5 is not allowed: one of the options drainTimeoutMs$/],
    [close({ port: 5 }), /^port: 5 is not allowed: one of the options drainTimeoutMs$/],
    [close({ drainTimeoutMs: -1 }), /^drainTimeoutMs: -1 is not allowed: /],
    [close(5), /^options: 5 is not allowed: an object of options$/],
    [close(null), /^options: null is not allowed: an object of options$/],
  ])('refuses wrong options of close: %#', (call, message) => {
    expect(usageError(call).message).toMatch(message);
  });

  it.each([
    [null, 'options: null is not allowed: an object of options'],
    [{ port: 5 }, 'port: 5 is not allowed: one of the options fd'],
  ])('refuses listen(%j), and can still be started', async (options, message) => {
    const one = server();
    await expect((one.listen as (options: unknown) => unknown)(options)).rejects.toThrow(message);
    expect(one.state).toBe('new');
  });
});

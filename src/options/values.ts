/**
 * Single values: from text, checked, and the complaint when they are not allowed. Pure.
 */
import { inspect } from 'node:util';
import { ADMIN_ADDRESS_ALLOWED, parseAdminAddress } from './admin-address.ts';
import { parseService, ServiceSyntaxError } from './service-spec.ts';
import type { OptionSpec } from './specs.ts';
import type { OptionKind } from './types.ts';

/**
 * A value that is not allowed: `option` as the user wrote its name, `value` as given, `allowed` in words. `problem` says
 * what is wrong where the value itself does not.
 */
export class UsageError extends Error {
  override readonly name = 'UsageError';
  readonly option: string;
  readonly value: unknown;
  readonly allowed: string;

  constructor(option: string, value: unknown, allowed: string, problem = `${shown(value)} is not allowed`) {
    super(`${printable(shortened(option))}: ${problem}: ${allowed}`);
    this.option = option;
    this.value = value;
    this.allowed = allowed;
  }
}

/** Most of a value that a complaint repeats. */
const SHOWN_MAX = 80;

/** The beginning of a text that may be of any length. */
export function shortened(text: string, most = SHOWN_MAX): string {
  return text.length <= most ? text : `${text.slice(0, most)}...`;
}

/** A value on one line, whatever it is. What an array or an object contains is not shown. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return printable(JSON.stringify(shortened(value)));
  if (typeof value === 'function') return 'a function';
  if (Array.isArray(value))
    return value.length === 1 ? 'an array of 1 value' : `an array of ${value.length} values`;
  return typeof value === 'object' && value !== null ? 'an object' : printable(shortened(inspect(value)));
}

/** The same text on one line, without characters that a terminal obeys: they become escapes like \u001b. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, (character) => {
    return `\\u${(character.codePointAt(0) as number).toString(16).padStart(4, '0')}`; // it has one
  });
}

const DURATION_UNITS_MS = { ms: 1, s: 1000, m: 60_000 } as const;

/** Milliseconds of `250ms`, `10s`, `5m` (decimals allowed, "0" too); null when it is none. */
export function parseDurationMs(text: string): number | null {
  if (text === '0') return 0;
  const match = /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m)$/.exec(text);
  if (match === null) return null;
  const durationMs = Number(match[1]) * DURATION_UNITS_MS[match[2] as keyof typeof DURATION_UNITS_MS];
  return Number.isInteger(durationMs) ? durationMs : null; // 0.4ms must not become 0, which often means never
}

const SIZE_UNITS_BYTES = { B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 } as const;

/** Bytes of `512KiB`, `64MiB`, `1GiB`, `65536B` ("0" too); null when it is none. */
export function parseSizeBytes(text: string): number | null {
  if (text === '0') return 0;
  const match = /^(\d{1,12})(B|KiB|MiB|GiB)$/.exec(text);
  if (match === null) return null;
  return Number(match[1]) * SIZE_UNITS_BYTES[match[2] as keyof typeof SIZE_UNITS_BYTES];
}

/** The value of an option from text, as the command line and the environment give it. Throws UsageError. */
export function parseOption(spec: OptionSpec, text: string, source: string): unknown {
  const { kind } = spec;
  switch (kind.type) {
    case 'integer':
      return checkOption(spec, /^\d{1,10}$/.test(text) ? Number(text) : text, source);
    case 'duration':
    case 'size': {
      const value = kind.type === 'duration' ? parseDurationMs(text) : parseSizeBytes(text);
      if (value !== null && fits(kind, value)) return value;
      throw new UsageError(source, text, allowed(kind, true));
    }
    case 'boolean':
      if (/^(1|true|yes|on)$/i.test(text)) return true;
      if (/^(0|false|no|off)$/i.test(text)) return false;
      throw new UsageError(source, text, 'true or false');
    case 'services':
      return checkServices(text.split(';'), source);
    default:
      return checkOption(spec, text, source);
  }
}

/** Returns `value` if the option may have it; throws UsageError otherwise. */
export function checkOption(spec: OptionSpec, value: unknown, source: string): unknown {
  const { kind } = spec;
  if (kind.type === 'services') return checkServices(value, source);
  if (!fits(kind, value)) throw new UsageError(source, value, allowed(kind, false));
  return value;
}

/** Throws UsageError unless `value` is an object with named values, as the functions of the API take them. */
export function checkObject(value: unknown, source: string): void {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return;
  throw new UsageError(source, value, 'an object of options');
}

/**
 * Throws UsageError unless `options` is an object whose values all have one of these names. `silent` ones are allowed
 * and not told of.
 */
export function checkNames(
  options: object,
  allowed: readonly string[],
  silent: readonly string[] = [],
): void {
  checkObject(options, 'options'); // a program may pass anything
  for (const [name, value] of Object.entries(options)) {
    if (allowed.includes(name) || silent.includes(name)) continue;
    throw new UsageError(name, value, `an option among ${allowed.join(', ')}`);
  }
}

/** Throws UsageError unless `value` has these methods, which `allowed` has in words. */
export function checkMethods(
  value: unknown,
  source: string,
  methods: readonly string[],
  allowed: string,
): void {
  const has = (name: string) => typeof (value as Record<string, unknown>)[name] === 'function';
  if (typeof value === 'object' && value !== null && methods.every(has)) return;
  throw new UsageError(source, value, `${allowed}: an object with the methods ${methods.join(', ')}`);
}

function isWithin(value: unknown, min: number, max: number): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max;
}

function fits(kind: Exclude<OptionKind, { type: 'services' }>, value: unknown): boolean {
  switch (kind.type) {
    case 'integer':
      return isWithin(value, kind.min, kind.max);
    case 'duration':
      return isWithin(value, kind.minMs, kind.maxMs) && value % (kind.stepMs ?? 1) === 0;
    case 'size':
      return isWithin(value, kind.minBytes, kind.maxBytes);
    case 'choice':
      return kind.among.includes(value as string);
    case 'boolean':
      return typeof value === 'boolean';
    case 'adminAddress':
      return typeof value === 'string' && parseAdminAddress(value) !== null;
    case 'text':
      return typeof value === 'string' && /^[^\s\p{Cc}\p{Cf}\p{Cs}]{1,255}$/u.test(value);
  }
}

const MAX_SERVICES = 64;

/** Specs of services, with the position of the first mistake. */
function checkServices(value: unknown, source: string): readonly string[] {
  const allowed = `at most ${MAX_SERVICES} specs like burn:5ms,sleep:10ms`;
  if (!Array.isArray(value)) throw new UsageError(source, value, `an array of ${allowed}`);
  if (value.length > MAX_SERVICES) {
    throw new UsageError(source, value, allowed, `${value.length} specs are not allowed`);
  }
  for (const text of value) {
    if (typeof text !== 'string') throw new UsageError(source, text, 'a spec like burn:5ms,sleep:10ms');
    try {
      parseService(text);
    } catch (error) {
      if (!(error instanceof ServiceSyntaxError)) throw error;
      throw new UsageError(source, text, error.message);
    }
  }
  return [...value]; // the caller keeps the array
}

export function allowed(kind: OptionKind, asText: boolean): string {
  switch (kind.type) {
    case 'integer':
      return `an integer from ${kind.min} to ${kind.max}`;
    case 'duration':
      return asText ? durationText(kind.minMs, kind.maxMs, kind.stepMs) : millisecondsText(kind);
    case 'size':
      return asText
        ? `a size like 512KiB, 64MiB or 1GiB, from ${kind.minBytes} to ${kind.maxBytes / 2 ** 30}GiB`
        : `bytes as an integer from ${kind.minBytes} to ${kind.maxBytes}`;
    case 'choice':
      return `one of ${kind.among.join(', ')}`;
    case 'boolean':
      return 'true or false';
    case 'text':
      return 'an address or a name of 1 to 255 characters without spaces and control characters';
    case 'adminAddress':
      return ADMIN_ADDRESS_ALLOWED;
    case 'services':
      return 'specs like burn:5ms,sleep:10ms';
  }
}

function durationText(minMs: number, maxMs: number, stepMs?: number): string {
  if (stepMs === undefined) {
    return `a duration in whole milliseconds like 250ms, 10s or 5m, from ${minMs}ms to ${maxMs / 60_000}m`;
  }
  return `a duration in whole seconds like 10s or 5m, from ${minMs / 1000}s to ${maxMs / 1000}s`;
}

function millisecondsText({
  minMs,
  maxMs,
  stepMs,
}: {
  minMs: number;
  maxMs: number;
  stepMs?: number;
}): string {
  const multiple = stepMs === undefined ? '' : `, a multiple of ${stepMs}`;
  return `milliseconds as an integer from ${minMs} to ${maxMs}${multiple}`;
}

/** What the first byte of a request tells first-byte-handler.ts: so many milliseconds of sleep, or from here on of work. */
export const COMPUTES = 128;

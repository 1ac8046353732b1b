/** The first byte of a request is the milliseconds that first-byte-handler.ts sleeps or, from this value on, computes. */
export const COMPUTES = 128;
